(component
  (core module $m
    (memory (export "memory") 1) (data (i32.const 16) "\01\02\03\04")
    (table 1 funcref) (elem (i32.const 0) $double)
    (func $double (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))
    (func (export "f") (param i32) (result i32)
      (i32.add (i32.load8_u (i32.const 18)) (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0))))
    (func (export "divide") (param i32) (result i32) (i32.div_u (i32.const 84) (local.get 0))))
  (core instance $i (instantiate $m))
  (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f")))
  (func (export "divide") (param "x" u32) (result u32) (canon lift (core func $i "divide"))))
