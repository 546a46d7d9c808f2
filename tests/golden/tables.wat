;; a table whose elements are looked up when they are met: null asks first, in call_indirect, table.get and ref.func, and is asked about before table.set
(module
  (type $f (func (param i32) (result i32)))
  (table $t 4 funcref)
  (elem (i32.const 1) func $g)
  (func $g (param i32) (result i32) (local.get 0))
  (func (param i32 i32) (result i32) (call_indirect (type $f) (local.get 0) (local.get 1)))
  (func (param i32) (result i32) (ref.is_null (table.get $t (local.get 0))))
  (func (param i32) (table.set $t (local.get 0) (ref.func $g)))
  (func (param i32) (table.set $t (local.get 0) (ref.null func))))
