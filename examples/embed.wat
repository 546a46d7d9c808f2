;; What examples/embed.c loads: a function that calls its host, and one that wants memory.
(module
  (import "host" "scale" (func $scale (param i32) (result i32)))
  (import "host" "print" (func $print (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "the guest runs")
  (func (export "run") (param $value i32) (result i32)
    (call $print (i32.const 8) (i32.const 14))
    (i32.add (call $scale (local.get $value)) (i32.const 2)))
  (func (export "grow") (param $pages i32) (result i32) (memory.grow (local.get $pages))))
