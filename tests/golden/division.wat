;; checks go where the divisor is unknown; powers of two are shifts
(module
  (func (param $a i32) (param $b i32) (result i32) (i32.div_s (local.get $a) (local.get $b)))
  (func (param $a i64) (param $b i64) (result i64) (i64.rem_u (local.get $a) (local.get $b)))
  (func (param $a i32) (result i32) (i32.div_s (local.get $a) (i32.const 8)))
  (func (param $a i32) (result i32) (i32.rem_u (local.get $a) (i32.const 8)))
  (func (param $a i32) (result i32) (i32.div_u (local.get $a) (i32.const 10))))
