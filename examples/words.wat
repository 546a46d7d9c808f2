;; A component written by hand: strings, a list, a record, a result, a resource, and a function of the host's.
;; Its world in WIT: `wasmrt wit examples/words.wat`.
(component
  (import "log" (func $log (param "text" string)))

  ;; What is exported together is a component of its own: its types get their names by its exports.
  (component $Text
    (import "log" (func $log (param "text" string)))

    ;; The memory has a module of its own, since lowering `log` wants it before the module that calls `log` is there.
    (core module $Libc
      (memory (export "memory") 1)
      (global (export "next") (mut i32) (i32.const 4096))
      (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
        (local $at i32)
        (local.set $at
          (i32.and (i32.add (global.get 0) (i32.sub (local.get $align) (i32.const 1))) (i32.sub (i32.const 0) (local.get $align))))
        (global.set 0 (i32.add (local.get $at) (local.get $size)))
        (if (i32.gt_u (global.get 0) (i32.mul (memory.size) (i32.const 65536)))
          (then (if (i32.eq (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1))) (i32.const -1))
            (then unreachable))))
        (local.get $at)))
    (core instance $libc (instantiate $Libc))
    (core func $log' (canon lower (func $log) (memory (core memory $libc "memory"))))

    (type $stats' (record (field "bytes" u32) (field "vowels" u32)))
    (export $stats "stats" (type $stats'))
    (type $counter' (resource (rep i32)))
    (export $counter "counter" (type $counter'))
    (core func $new-counter (canon resource.new $counter'))

    (core module $Main
      (import "host" "log" (func $log (param i32 i32)))
      (import "host" "new-counter" (func $new-counter (param i32) (result i32)))
      (import "libc" "memory" (memory 1))
      (import "libc" "next" (global $next (mut i32)))
      (global $cells (mut i32) (i32.const 1024))
      (data (i32.const 64) "not a number")

      ;; Arguments lie where `realloc` put them; once they are read, their room is free again.
      (func $free (export "free") (param i32) (global.set $next (i32.const 4096)))

      ;; In place: the result is the argument.
      (func (export "rot13") (param $at i32) (param $length i32) (result i32)
        (local $end i32) (local $i i32) (local $letter i32)
        (call $log (local.get $at) (local.get $length))
        (local.set $end (i32.add (local.get $at) (local.get $length)))
        (local.set $i (local.get $at))
        (block $done (loop $again
          (br_if $done (i32.ge_u (local.get $i) (local.get $end)))
          (local.set $letter (i32.sub (i32.or (i32.load8_u (local.get $i)) (i32.const 32)) (i32.const 97)))
          (if (i32.lt_u (local.get $letter) (i32.const 26))
            (then (i32.store8 (local.get $i)
              (i32.add (i32.load8_u (local.get $i))
                (select (i32.const 13) (i32.const -13) (i32.lt_u (local.get $letter) (i32.const 13)))))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $again)))
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $length))
        (i32.const 0))

      (func (export "count") (param $at i32) (param $length i32) (result i32)
        (local $i i32) (local $letter i32) (local $vowels i32)
        (block $done (loop $again
          (br_if $done (i32.ge_u (local.get $i) (local.get $length)))
          (local.set $letter
            (i32.sub (i32.or (i32.load8_u (i32.add (local.get $at) (local.get $i))) (i32.const 32)) (i32.const 97)))
          ;; a bit for each vowel, counted from `a`
          (local.set $vowels (i32.add (local.get $vowels)
            (i32.and (i32.lt_u (local.get $letter) (i32.const 26)) (i32.shr_u (i32.const 0x104111) (local.get $letter)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $again)))
        (call $free (i32.const 0))
        (i32.store (i32.const 0) (local.get $length))
        (i32.store (i32.const 4) (local.get $vowels))
        (i32.const 0))

      ;; result<u32, string>: the discriminant at 0, the payload at 4
      (func (export "parse") (param $at i32) (param $length i32) (result i32)
        (local $i i32) (local $digit i32) (local $number i32)
        (block $bad
          (br_if $bad (i32.eqz (local.get $length)))
          (block $done (loop $again
            (br_if $done (i32.ge_u (local.get $i) (local.get $length)))
            (local.set $digit (i32.sub (i32.load8_u (i32.add (local.get $at) (local.get $i))) (i32.const 48)))
            (br_if $bad (i32.gt_u (local.get $digit) (i32.const 9)))
            (local.set $number (i32.add (i32.mul (local.get $number) (i32.const 10)) (local.get $digit)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $again)))
          (call $free (i32.const 0))
          (i32.store8 (i32.const 0) (i32.const 0))
          (i32.store (i32.const 4) (local.get $number))
          (return (i32.const 0)))
        (call $free (i32.const 0))
        (i32.store8 (i32.const 0) (i32.const 1))
        (i32.store (i32.const 4) (i32.const 64))
        (i32.store (i32.const 8) (i32.const 12))
        (i32.const 0))

      (func (export "total") (param $at i32) (param $length i32) (result i64)
        (local $end i32) (local $sum i64)
        (local.set $end (i32.add (local.get $at) (i32.mul (local.get $length) (i32.const 4))))
        (block $done (loop $again
          (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
          (local.set $sum (i64.add (local.get $sum) (i64.load32_u (local.get $at))))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (br $again)))
        (call $free (i32.const 0))
        (local.get $sum))

      ;; A counter's representation is the address of its number.
      (func (export "counter") (param $start i32) (result i32)
        (if (i32.ge_u (global.get $cells) (i32.const 4096)) (then unreachable))
        (i32.store (global.get $cells) (local.get $start))
        (global.set $cells (i32.add (global.get $cells) (i32.const 4)))
        (call $new-counter (i32.sub (global.get $cells) (i32.const 4))))
      (func (export "increment") (param $counter i32) (param $by i32) (result i32)
        (i32.store (local.get $counter) (i32.add (i32.load (local.get $counter)) (local.get $by)))
        (i32.load (local.get $counter))))

    (core instance $main (instantiate $Main
      (with "host" (instance (export "log" (func $log')) (export "new-counter" (func $new-counter))))
      (with "libc" (instance $libc))))

    (func (export "rot13") (param "text" string) (result string)
      (canon lift (core func $main "rot13")
        (memory (core memory $libc "memory")) (realloc (core func $libc "realloc")) (post-return (core func $main "free"))))
    (func (export "count") (param "text" string) (result $stats)
      (canon lift (core func $main "count") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (func (export "parse") (param "text" string) (result (result u32 (error string)))
      (canon lift (core func $main "parse") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (func (export "total") (param "numbers" (list u32)) (result u64)
      (canon lift (core func $main "total") (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
    (func (export "[constructor]counter") (param "start" u32) (result (own $counter)) (canon lift (core func $main "counter")))
    (func (export "[method]counter.increment") (param "self" (borrow $counter)) (param "by" u32) (result u32)
      (canon lift (core func $main "increment"))))

  (instance $text (instantiate $Text (with "log" (func $log))))
  (export "demo:words/text@1.0.0" (instance $text)))
