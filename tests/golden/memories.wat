;; guarded accesses are one instruction; offsets past the guard and 64-bit memories are checked; a second memory's base is loaded
(module (memory $a 1) (memory $b 1) (memory $c i64 1)
  (func (param $p i32) (param $v i64) (i64.store $a offset=24 (local.get $p) (local.get $v)))
  (func (param $p i32) (result i32) (i32.load8_u $b (local.get $p)))
  (func (param $p i32) (result i32) (i32.load $a offset=0xfffffff0 (local.get $p)))
  (func (param $p i64) (result f32) (f32.load $c offset=4 (local.get $p)))
  (func (result i32) (i32.store16 $a (i32.const 100) (i32.const 7)) (memory.size $a)))
