;; a direct call, an import, call_indirect; what is live across them is stored once
(module
  (type $binary (func (param i32 i32) (result i32)))
  (import "host" "f" (func $host (param i64 f64) (result f64)))
  (table 4 funcref)
  (func $fib (param $n i32) (result i32)
    (if (result i32) (i32.lt_s (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add (call $fib (i32.sub (local.get $n) (i32.const 1))) (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func (param $x i64) (param $y f64) (result f64)
    (f64.add (call $host (local.get $x) (local.get $y)) (local.get $y)))
  (func (param $a i32) (param $b i32) (param $i i32) (result i32)
    (call_indirect (type $binary) (local.get $a) (local.get $b) (local.get $i))))
