;; one integer and one float in registers, the rest in the caller's area
(module
  (func $four (param $a i32) (param $b f64) (result i32 f64 i32 i64)
    (local.get $a) (local.get $b) (i32.const 3) (i64.const -4))
  (func (result i64) (local $x i64)
    (call $four (i32.const 1) (f64.const 2)) (local.set $x) (drop) (drop) (drop) (local.get $x))
  (func (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.add (local.get 5) (local.get 6))))
