;; compares feed branches, selects and eqz without becoming values; and feeds a branch as test
(module
  (func (param $a i32) (param $b i32) (result i32) (select (local.get $a) (local.get $b) (i32.lt_s (local.get $a) (local.get $b))))
  (func (param $a f64) (param $b f64) (result i32) (if (result i32) (f64.eq (local.get $a) (local.get $b)) (then (i32.const 1)) (else (i32.const 2))))
  (func (param $a i64) (result i32) (i32.eqz (i64.gt_u (local.get $a) (i64.const 5))))
  (func (param $a i32) (block $out (br_if $out (i32.eqz (i32.and (local.get $a) (i32.const 8)))) (unreachable)))
  (func (param $a f64) (param $b f64) (result f64) (f64.max (local.get $a) (local.get $b))))
