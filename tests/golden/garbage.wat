;; i32 parameters and results of calls may have garbage above: they are zero-extended before they are addresses, widened, or merged
(module
  (import "host" "f" (func $host (result i32)))
  (memory 1)
  (func (param $p i32) (result i32) (i32.load offset=16 (local.get $p)))
  (func (param $p i32) (result i64) (i64.extend_i32_u (local.get $p)))
  (func (result i32) (i32.load (call $host)))
  (func (param $a i32) (param $b i32) (result i32) (i32.add (local.get $a) (local.get $b))))
