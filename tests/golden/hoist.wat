;; What loops do not change is computed before them: see csrc/compile/hoist.c
(module
  (memory 1)
  ;; both sets of $row are in the loop's head and to invariant values: the last one moves, the first one's value has a local of the compiler's own
  (func $rows (param $a i32) (param $b i32) (param $i i32) (param $n i32) (local $j i32) (local $row i32) (local $at i32)
    loop
      local.get $j
      i32.const 3
      i32.shl
      local.tee $at
      local.get $a
      local.get $i
      i32.const 2000
      i32.mul
      local.tee $row
      i32.add
      i32.add
      local.get $b
      local.get $row
      i32.add
      local.tee $row
      local.get $at
      i32.add
      f64.load
      local.get $row
      local.get $at
      i32.add
      f64.load offset=8
      f64.add
      f64.store
      local.get $j
      i32.const 1
      i32.add
      local.tee $j
      local.get $n
      i32.ne
      br_if 0
    end)
  ;; $x is read before it is set: it stays
  (func $carried (param $n i32) (param $k i32) (result i32)
    (local $x i32) (local $sum i32)
    loop
      (local.set $sum (i32.add (local.get $sum) (local.get $x)))
      (local.set $x (i32.mul (local.get $k) (i32.const 7)))
      (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))
    end
    local.get $sum)
  ;; the loop may be left before $x is set
  (func $left (param $n i32) (param $k i32) (param $x i32) (result i32)
    block
      loop
        (br_if 1 (i32.eqz (local.get $n)))
        (local.set $x (i32.mul (local.get $k) (i32.const 7)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        br 0
      end
    end
    local.get $x)
  ;; a hoisted value is the loop's result
  (func $result (param $n i32) (param $k i64) (result i64)
    loop (result i64)
      (i64.mul (i64.add (local.get $k) (i64.const 5)) (local.get $k))
      (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))
    end)
)
