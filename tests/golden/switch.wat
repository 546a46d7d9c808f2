;; a jump table of offsets among the code; few targets are compares
(module
  (func (param $i i32) (result i32)
    (block $d (block $c (block $b (block $a (br_table $a $b $c $d $a $d (local.get $i))) (return (i32.const 10))) (return (i32.const 11))) (return (i32.const 12)))
    (i32.const 13))
  (func (param $i i32) (result i32)
    (block $b (block $a (br_table $a $b (local.get $i))) (return (i32.const 10)))
    (i32.const 11)))
