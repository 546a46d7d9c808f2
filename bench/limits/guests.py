"""Owns the guests of bench/limits: one core module and one component whose functions do nothing but hand back what they got.

`realloc` always answers the same address, so that what is measured is the boundary and not a guest's allocator.
"""

MODULE = """(module
  (import "h" "next" (func $next (param i32) (result i32)))
  (func $add (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "calls") (param $n i32) (result i32) (local $sum i32)
    (loop $more
      (local.set $sum (i32.add (local.get $sum) (call $next (local.get $n))))
      (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))
  (func (export "adds") (param $n i32) (result i32) (local $sum i32)
    (loop $more
      (local.set $sum (call $add (local.get $sum) (local.get $n)))
      (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum)))"""

# what takes (pointer, length) or two words and returns them through a return area: strings, lists, records, tuples, variants, options
_PAIRS = {
    "text-echo": ("string", "string"),
    "bytes-echo": ("(list u8)", "(list u8)"),
    "doubles-echo": ("(list f64)", "(list f64)"),
    "record-echo": ("$pair", "$pair"),
    "tuple-echo": ("(tuple s32 s32)", "(tuple s32 s32)"),
    "variant-echo": ("$choice", "$choice"),
    "option-echo": ("(option s32)", "(option s32)"),
}
_LENGTHS = {"text-in": "string", "bytes-in": "(list u8)", "doubles-in": "(list f64)", "points-in": "(list $point)"}
_WORDS = {"enum-echo": "$letter", "flags-echo": "$marks"}


def _lift(name: str, core: str, params: str, result: str) -> str:
    options = "(memory $memory) (realloc $realloc)"
    return f'(func (export "{name}") {params} (result {result}) (canon lift (core func $m "{core}") {options}))'


COMPONENT = f"""(component
  (type $pair-type (record (field "first" s32) (field "second" s32)))
  (export $pair "pair" (type $pair-type))
  (type $point-type (record (field "first" f64) (field "second" f64)))
  (export $point "point" (type $point-type))
  (type $choice-type (variant (case "a" s32) (case "b" s32) (case "c" s32) (case "d")))
  (export $choice "choice" (type $choice-type))
  (type $letter-type (enum "a" "b" "c" "d"))
  (export $letter "letter" (type $letter-type))
  (type $marks-type (flags "a" "b" "c" "d"))
  (export $marks "marks" (type $marks-type))
  (import "next" (func $next (param "value" s32) (result s32)))
  (core module $Main
    (import "" "next" (func $next (param i32) (result i32)))
    (memory (export "memory") 32)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "pair") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "result") (param i32 i64) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i64.store (i32.const 24) (local.get 1)) (i32.const 16))
    (func (export "length") (param i32 i32) (result i32) (local.get 1))
    (func (export "word") (param i32) (result i32) (local.get 0))
    (func (export "calls") (param $n i32) (result i32) (local $sum i32)
      (loop $more
        (local.set $sum (i32.add (local.get $sum) (call $next (local.get $n))))
        (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $sum)))
  (core func $next-core (canon lower (func $next)))
  (core instance $m (instantiate $Main (with "" (instance (export "next" (func $next-core))))))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))
  {_lift("add", "add", '(param "a" s32) (param "b" s32)', "s32")}
  {_lift("calls", "calls", '(param "n" s32)', "s32")}
  {_lift("result-echo", "result", '(param "v" (result s32 (error f64)))', "(result s32 (error f64))")}
  {"".join(_lift(name, "pair", f'(param "v" {given})', got) for name, (given, got) in _PAIRS.items())}
  {"".join(_lift(name, "length", f'(param "v" {given})', "u32") for name, given in _LENGTHS.items())}
  {"".join(_lift(name, "word", f'(param "v" {given})', given) for name, given in _WORDS.items())}

  (core module $Dtor (func (export "dtor") (param i32)))
  (core instance $dtor (instantiate $Dtor))
  (type $thing-type (resource (rep i32) (dtor (core func $dtor "dtor"))))
  (export $thing "thing" (type $thing-type))
  (core func $new (canon resource.new $thing-type))
  (core module $Things
    (import "" "new" (func $new (param i32) (result i32)))
    (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "rep") (param i32) (result i32) (local.get 0)))
  (core instance $things (instantiate $Things (with "" (instance (export "new" (func $new))))))
  (func (export "make") (param "rep" s32) (result (own $thing)) (canon lift (core func $things "make")))
  (func (export "rep") (param "thing" (borrow $thing)) (result s32) (canon lift (core func $things "rep")))

  (component $Callee
    (core module $M (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
    (core instance $m (instantiate $M))
    (func (export "add") (param "a" s32) (param "b" s32) (result s32) (canon lift (core func $m "add"))))
  (component $Caller
    (import "add" (func $add (param "a" s32) (param "b" s32) (result s32)))
    (core func $add-core (canon lower (func $add)))
    (core module $M
      (import "" "add" (func $add (param i32 i32) (result i32)))
      (func (export "adds") (param $n i32) (result i32) (local $sum i32)
        (loop $more
          (local.set $sum (call $add (local.get $sum) (local.get $n)))
          (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum)))
    (core instance $m (instantiate $M (with "" (instance (export "add" (func $add-core))))))
    (func (export "adds") (param "n" s32) (result s32) (canon lift (core func $m "adds"))))
  (instance $callee (instantiate $Callee))
  (instance $caller (instantiate $Caller (with "add" (func $callee "add"))))
  (export "adds" (func $caller "adds")))"""
