/* From wasm bytes to calls, with the compiler: every kind of trap comes out as what it is, and what a call leaves behind is right. The bytes are those
 * of the text here. */
#include "check.h"

#include "vm/objects.h"

/* (module
 *   (type $v (func)) (type $ii (func (param i32) (result i32)))
 *   (import "h" "f" (func $host (type $ii)))
 *   (memory (export "m") 1 3) (table $t (export "t") 4 10 funcref) (global $g (export "g") (mut i32) (i32.const 0))
 *   (elem (i32.const 0) func $fib $host) (elem $e func $fib $nothing) (data $d "passive data")
 *   (func $nothing)
 *   (func $fib (export "fib") (param i32) (result i32)
 *     (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
 *       (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
 *   (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
 *   (func (export "load_far") (param i32) (result i32) (i32.load offset=0x7fffffff (local.get 0)))
 *   (func (export "store") (param i32) (i32.store (local.get 0) (i32.const 99)))
 *   (func (export "host") (param i32) (result i32) (i32.mul (call $host (local.get 0)) (i32.const 2)))
 *   (func (export "div") (param i32) (result i32) (i32.div_s (i32.const -2147483648) (local.get 0)))
 *   (func (export "rem") (param i32) (result i32) (i32.rem_s (i32.const -2147483648) (local.get 0)))
 *   (func (export "trunc") (param i32) (result i32) (i32.trunc_f32_s (f32.reinterpret_i32 (local.get 0))))
 *   (func (export "unreachable") (unreachable))
 *   (func $loop (export "loop") (loop (br 0)))
 *   (func $recurse (export "recurse") (param i32) (result i32) (i32.add (i32.const 1) (call $recurse (local.get 0))))
 *   (func (export "indirect") (param i32) (result i32) (call_indirect (type $ii) (i32.const 10) (local.get 0)))
 *   (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
 *   (func (export "fill") (param i32) (memory.fill (local.get 0) (i32.const 7) (i32.const 16)))
 *   (func (export "copy") (param i32) (memory.copy (i32.const 0) (local.get 0) (i32.const 16)))
 *   (func (export "init") (param i32) (memory.init $d (local.get 0) (i32.const 0) (i32.const 12)))
 *   (func (export "drop") (param i32) (data.drop $d))
 *   (func (export "table_grow") (param i32) (result i32) (table.grow (ref.func $fib) (local.get 0)))
 *   (func (export "table_fill") (param i32) (table.fill (local.get 0) (ref.null func) (i32.const 1)))
 *   (func (export "table_init") (param i32) (table.init $e (local.get 0) (i32.const 0) (i32.const 2)))
 *   (func (export "table_copy") (param i32) (table.copy (i32.const 2) (local.get 0) (i32.const 2)))
 *   (func (export "count") (param i32) (result i32) (loop (global.set $g (i32.add (global.get $g) (i32.const 1)))
 *      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (global.get $g))
 *   (func (export "big") (param i32) (result i32) [sets 200 i64 locals to the parameter plus their index, adds them up])
 * ) */
static const uint8_t wasm[] = {
    0, 97, 115, 109, 1, 0, 0, 0, 1, 13, 3, 96, 0, 0, 96, 1, 127, 1, 127, 96, 1, 127, 0, 2, 7, 1, 1, 104, 1, 102, 0, 1, 3, 25, 24, 0, 1, 1, 1, 2, 1, 1, 1,
    1, 0, 0, 1, 1, 1, 2, 2, 2, 2, 1, 2, 2, 2, 1, 1, 4, 5, 1, 112, 1, 4, 10, 5, 4, 1, 1, 1, 3, 6, 6, 1, 127, 1, 65, 0, 11, 7, 215, 1, 26, 1, 109, 2, 0, 1,
    116, 1, 0, 1, 103, 3, 0, 3, 102, 105, 98, 0, 2, 4, 108, 111, 97, 100, 0, 3, 8, 108, 111, 97, 100, 95, 102, 97, 114, 0, 4, 5, 115, 116, 111, 114, 101,
    0, 5, 4, 104, 111, 115, 116, 0, 6, 3, 100, 105, 118, 0, 7, 3, 114, 101, 109, 0, 8, 5, 116, 114, 117, 110, 99, 0, 9, 11, 117, 110, 114, 101, 97, 99,
    104, 97, 98, 108, 101, 0, 10, 4, 108, 111, 111, 112, 0, 11, 7, 114, 101, 99, 117, 114, 115, 101, 0, 12, 8, 105, 110, 100, 105, 114, 101, 99, 116, 0,
    13, 4, 103, 114, 111, 119, 0, 14, 4, 102, 105, 108, 108, 0, 15, 4, 99, 111, 112, 121, 0, 16, 4, 105, 110, 105, 116, 0, 17, 4, 100, 114, 111, 112, 0,
    18, 10, 116, 97, 98, 108, 101, 95, 103, 114, 111, 119, 0, 19, 10, 116, 97, 98, 108, 101, 95, 102, 105, 108, 108, 0, 20, 10, 116, 97, 98, 108, 101, 95,
    105, 110, 105, 116, 0, 21, 10, 116, 97, 98, 108, 101, 95, 99, 111, 112, 121, 0, 22, 5, 99, 111, 117, 110, 116, 0, 23, 3, 98, 105, 103, 0, 24, 9, 13,
    2, 0, 65, 0, 11, 2, 2, 0, 1, 0, 2, 2, 1, 12, 1, 1, 10, 193, 21, 24, 2, 0, 11, 28, 0, 32, 0, 65, 2, 73, 4, 127, 32, 0, 5, 32, 0, 65, 1, 107, 16, 2, 32,
    0, 65, 2, 107, 16, 2, 106, 11, 11, 7, 0, 32, 0, 40, 2, 0, 11, 11, 0, 32, 0, 40, 2, 255, 255, 255, 255, 7, 11, 10, 0, 32, 0, 65, 227, 0, 54, 2, 0, 11,
    9, 0, 32, 0, 16, 0, 65, 2, 108, 11, 11, 0, 65, 128, 128, 128, 128, 120, 32, 0, 109, 11, 11, 0, 65, 128, 128, 128, 128, 120, 32, 0, 111, 11, 6, 0, 32,
    0, 190, 168, 11, 3, 0, 0, 11, 7, 0, 3, 64, 12, 0, 11, 11, 9, 0, 65, 1, 32, 0, 16, 12, 106, 11, 9, 0, 65, 10, 32, 0, 17, 1, 0, 11, 6, 0, 32, 0, 64, 0,
    11, 11, 0, 32, 0, 65, 7, 65, 16, 252, 11, 0, 11, 12, 0, 65, 0, 32, 0, 65, 16, 252, 10, 0, 0, 11, 12, 0, 32, 0, 65, 0, 65, 12, 252, 8, 0, 0, 11, 5, 0,
    252, 9, 0, 11, 9, 0, 210, 2, 32, 0, 252, 15, 0, 11, 11, 0, 32, 0, 208, 112, 65, 1, 252, 17, 0, 11, 12, 0, 32, 0, 65, 0, 65, 2, 252, 12, 1, 0, 11, 12,
    0, 65, 2, 32, 0, 65, 2, 252, 14, 0, 0, 11, 23, 0, 3, 64, 35, 0, 65, 1, 106, 36, 0, 32, 0, 65, 1, 107, 34, 0, 13, 0, 11, 35, 0, 11, 187, 19, 1, 200, 1,
    126, 32, 0, 65, 1, 106, 173, 33, 1, 32, 0, 65, 2, 106, 173, 33, 2, 32, 0, 65, 3, 106, 173, 33, 3, 32, 0, 65, 4, 106, 173, 33, 4, 32, 0, 65, 5, 106,
    173, 33, 5, 32, 0, 65, 6, 106, 173, 33, 6, 32, 0, 65, 7, 106, 173, 33, 7, 32, 0, 65, 8, 106, 173, 33, 8, 32, 0, 65, 9, 106, 173, 33, 9, 32, 0, 65, 10,
    106, 173, 33, 10, 32, 0, 65, 11, 106, 173, 33, 11, 32, 0, 65, 12, 106, 173, 33, 12, 32, 0, 65, 13, 106, 173, 33, 13, 32, 0, 65, 14, 106, 173, 33, 14,
    32, 0, 65, 15, 106, 173, 33, 15, 32, 0, 65, 16, 106, 173, 33, 16, 32, 0, 65, 17, 106, 173, 33, 17, 32, 0, 65, 18, 106, 173, 33, 18, 32, 0, 65, 19,
    106, 173, 33, 19, 32, 0, 65, 20, 106, 173, 33, 20, 32, 0, 65, 21, 106, 173, 33, 21, 32, 0, 65, 22, 106, 173, 33, 22, 32, 0, 65, 23, 106, 173, 33, 23,
    32, 0, 65, 24, 106, 173, 33, 24, 32, 0, 65, 25, 106, 173, 33, 25, 32, 0, 65, 26, 106, 173, 33, 26, 32, 0, 65, 27, 106, 173, 33, 27, 32, 0, 65, 28,
    106, 173, 33, 28, 32, 0, 65, 29, 106, 173, 33, 29, 32, 0, 65, 30, 106, 173, 33, 30, 32, 0, 65, 31, 106, 173, 33, 31, 32, 0, 65, 32, 106, 173, 33, 32,
    32, 0, 65, 33, 106, 173, 33, 33, 32, 0, 65, 34, 106, 173, 33, 34, 32, 0, 65, 35, 106, 173, 33, 35, 32, 0, 65, 36, 106, 173, 33, 36, 32, 0, 65, 37,
    106, 173, 33, 37, 32, 0, 65, 38, 106, 173, 33, 38, 32, 0, 65, 39, 106, 173, 33, 39, 32, 0, 65, 40, 106, 173, 33, 40, 32, 0, 65, 41, 106, 173, 33, 41,
    32, 0, 65, 42, 106, 173, 33, 42, 32, 0, 65, 43, 106, 173, 33, 43, 32, 0, 65, 44, 106, 173, 33, 44, 32, 0, 65, 45, 106, 173, 33, 45, 32, 0, 65, 46,
    106, 173, 33, 46, 32, 0, 65, 47, 106, 173, 33, 47, 32, 0, 65, 48, 106, 173, 33, 48, 32, 0, 65, 49, 106, 173, 33, 49, 32, 0, 65, 50, 106, 173, 33, 50,
    32, 0, 65, 51, 106, 173, 33, 51, 32, 0, 65, 52, 106, 173, 33, 52, 32, 0, 65, 53, 106, 173, 33, 53, 32, 0, 65, 54, 106, 173, 33, 54, 32, 0, 65, 55,
    106, 173, 33, 55, 32, 0, 65, 56, 106, 173, 33, 56, 32, 0, 65, 57, 106, 173, 33, 57, 32, 0, 65, 58, 106, 173, 33, 58, 32, 0, 65, 59, 106, 173, 33, 59,
    32, 0, 65, 60, 106, 173, 33, 60, 32, 0, 65, 61, 106, 173, 33, 61, 32, 0, 65, 62, 106, 173, 33, 62, 32, 0, 65, 63, 106, 173, 33, 63, 32, 0, 65, 192, 0,
    106, 173, 33, 64, 32, 0, 65, 193, 0, 106, 173, 33, 65, 32, 0, 65, 194, 0, 106, 173, 33, 66, 32, 0, 65, 195, 0, 106, 173, 33, 67, 32, 0, 65, 196, 0,
    106, 173, 33, 68, 32, 0, 65, 197, 0, 106, 173, 33, 69, 32, 0, 65, 198, 0, 106, 173, 33, 70, 32, 0, 65, 199, 0, 106, 173, 33, 71, 32, 0, 65, 200, 0,
    106, 173, 33, 72, 32, 0, 65, 201, 0, 106, 173, 33, 73, 32, 0, 65, 202, 0, 106, 173, 33, 74, 32, 0, 65, 203, 0, 106, 173, 33, 75, 32, 0, 65, 204, 0,
    106, 173, 33, 76, 32, 0, 65, 205, 0, 106, 173, 33, 77, 32, 0, 65, 206, 0, 106, 173, 33, 78, 32, 0, 65, 207, 0, 106, 173, 33, 79, 32, 0, 65, 208, 0,
    106, 173, 33, 80, 32, 0, 65, 209, 0, 106, 173, 33, 81, 32, 0, 65, 210, 0, 106, 173, 33, 82, 32, 0, 65, 211, 0, 106, 173, 33, 83, 32, 0, 65, 212, 0,
    106, 173, 33, 84, 32, 0, 65, 213, 0, 106, 173, 33, 85, 32, 0, 65, 214, 0, 106, 173, 33, 86, 32, 0, 65, 215, 0, 106, 173, 33, 87, 32, 0, 65, 216, 0,
    106, 173, 33, 88, 32, 0, 65, 217, 0, 106, 173, 33, 89, 32, 0, 65, 218, 0, 106, 173, 33, 90, 32, 0, 65, 219, 0, 106, 173, 33, 91, 32, 0, 65, 220, 0,
    106, 173, 33, 92, 32, 0, 65, 221, 0, 106, 173, 33, 93, 32, 0, 65, 222, 0, 106, 173, 33, 94, 32, 0, 65, 223, 0, 106, 173, 33, 95, 32, 0, 65, 224, 0,
    106, 173, 33, 96, 32, 0, 65, 225, 0, 106, 173, 33, 97, 32, 0, 65, 226, 0, 106, 173, 33, 98, 32, 0, 65, 227, 0, 106, 173, 33, 99, 32, 0, 65, 228, 0,
    106, 173, 33, 100, 32, 0, 65, 229, 0, 106, 173, 33, 101, 32, 0, 65, 230, 0, 106, 173, 33, 102, 32, 0, 65, 231, 0, 106, 173, 33, 103, 32, 0, 65, 232,
    0, 106, 173, 33, 104, 32, 0, 65, 233, 0, 106, 173, 33, 105, 32, 0, 65, 234, 0, 106, 173, 33, 106, 32, 0, 65, 235, 0, 106, 173, 33, 107, 32, 0, 65,
    236, 0, 106, 173, 33, 108, 32, 0, 65, 237, 0, 106, 173, 33, 109, 32, 0, 65, 238, 0, 106, 173, 33, 110, 32, 0, 65, 239, 0, 106, 173, 33, 111, 32, 0,
    65, 240, 0, 106, 173, 33, 112, 32, 0, 65, 241, 0, 106, 173, 33, 113, 32, 0, 65, 242, 0, 106, 173, 33, 114, 32, 0, 65, 243, 0, 106, 173, 33, 115, 32,
    0, 65, 244, 0, 106, 173, 33, 116, 32, 0, 65, 245, 0, 106, 173, 33, 117, 32, 0, 65, 246, 0, 106, 173, 33, 118, 32, 0, 65, 247, 0, 106, 173, 33, 119,
    32, 0, 65, 248, 0, 106, 173, 33, 120, 32, 0, 65, 249, 0, 106, 173, 33, 121, 32, 0, 65, 250, 0, 106, 173, 33, 122, 32, 0, 65, 251, 0, 106, 173, 33,
    123, 32, 0, 65, 252, 0, 106, 173, 33, 124, 32, 0, 65, 253, 0, 106, 173, 33, 125, 32, 0, 65, 254, 0, 106, 173, 33, 126, 32, 0, 65, 255, 0, 106, 173,
    33, 127, 32, 0, 65, 128, 1, 106, 173, 33, 128, 1, 32, 0, 65, 129, 1, 106, 173, 33, 129, 1, 32, 0, 65, 130, 1, 106, 173, 33, 130, 1, 32, 0, 65, 131, 1,
    106, 173, 33, 131, 1, 32, 0, 65, 132, 1, 106, 173, 33, 132, 1, 32, 0, 65, 133, 1, 106, 173, 33, 133, 1, 32, 0, 65, 134, 1, 106, 173, 33, 134, 1, 32,
    0, 65, 135, 1, 106, 173, 33, 135, 1, 32, 0, 65, 136, 1, 106, 173, 33, 136, 1, 32, 0, 65, 137, 1, 106, 173, 33, 137, 1, 32, 0, 65, 138, 1, 106, 173,
    33, 138, 1, 32, 0, 65, 139, 1, 106, 173, 33, 139, 1, 32, 0, 65, 140, 1, 106, 173, 33, 140, 1, 32, 0, 65, 141, 1, 106, 173, 33, 141, 1, 32, 0, 65, 142,
    1, 106, 173, 33, 142, 1, 32, 0, 65, 143, 1, 106, 173, 33, 143, 1, 32, 0, 65, 144, 1, 106, 173, 33, 144, 1, 32, 0, 65, 145, 1, 106, 173, 33, 145, 1,
    32, 0, 65, 146, 1, 106, 173, 33, 146, 1, 32, 0, 65, 147, 1, 106, 173, 33, 147, 1, 32, 0, 65, 148, 1, 106, 173, 33, 148, 1, 32, 0, 65, 149, 1, 106,
    173, 33, 149, 1, 32, 0, 65, 150, 1, 106, 173, 33, 150, 1, 32, 0, 65, 151, 1, 106, 173, 33, 151, 1, 32, 0, 65, 152, 1, 106, 173, 33, 152, 1, 32, 0, 65,
    153, 1, 106, 173, 33, 153, 1, 32, 0, 65, 154, 1, 106, 173, 33, 154, 1, 32, 0, 65, 155, 1, 106, 173, 33, 155, 1, 32, 0, 65, 156, 1, 106, 173, 33, 156,
    1, 32, 0, 65, 157, 1, 106, 173, 33, 157, 1, 32, 0, 65, 158, 1, 106, 173, 33, 158, 1, 32, 0, 65, 159, 1, 106, 173, 33, 159, 1, 32, 0, 65, 160, 1, 106,
    173, 33, 160, 1, 32, 0, 65, 161, 1, 106, 173, 33, 161, 1, 32, 0, 65, 162, 1, 106, 173, 33, 162, 1, 32, 0, 65, 163, 1, 106, 173, 33, 163, 1, 32, 0, 65,
    164, 1, 106, 173, 33, 164, 1, 32, 0, 65, 165, 1, 106, 173, 33, 165, 1, 32, 0, 65, 166, 1, 106, 173, 33, 166, 1, 32, 0, 65, 167, 1, 106, 173, 33, 167,
    1, 32, 0, 65, 168, 1, 106, 173, 33, 168, 1, 32, 0, 65, 169, 1, 106, 173, 33, 169, 1, 32, 0, 65, 170, 1, 106, 173, 33, 170, 1, 32, 0, 65, 171, 1, 106,
    173, 33, 171, 1, 32, 0, 65, 172, 1, 106, 173, 33, 172, 1, 32, 0, 65, 173, 1, 106, 173, 33, 173, 1, 32, 0, 65, 174, 1, 106, 173, 33, 174, 1, 32, 0, 65,
    175, 1, 106, 173, 33, 175, 1, 32, 0, 65, 176, 1, 106, 173, 33, 176, 1, 32, 0, 65, 177, 1, 106, 173, 33, 177, 1, 32, 0, 65, 178, 1, 106, 173, 33, 178,
    1, 32, 0, 65, 179, 1, 106, 173, 33, 179, 1, 32, 0, 65, 180, 1, 106, 173, 33, 180, 1, 32, 0, 65, 181, 1, 106, 173, 33, 181, 1, 32, 0, 65, 182, 1, 106,
    173, 33, 182, 1, 32, 0, 65, 183, 1, 106, 173, 33, 183, 1, 32, 0, 65, 184, 1, 106, 173, 33, 184, 1, 32, 0, 65, 185, 1, 106, 173, 33, 185, 1, 32, 0, 65,
    186, 1, 106, 173, 33, 186, 1, 32, 0, 65, 187, 1, 106, 173, 33, 187, 1, 32, 0, 65, 188, 1, 106, 173, 33, 188, 1, 32, 0, 65, 189, 1, 106, 173, 33, 189,
    1, 32, 0, 65, 190, 1, 106, 173, 33, 190, 1, 32, 0, 65, 191, 1, 106, 173, 33, 191, 1, 32, 0, 65, 192, 1, 106, 173, 33, 192, 1, 32, 0, 65, 193, 1, 106,
    173, 33, 193, 1, 32, 0, 65, 194, 1, 106, 173, 33, 194, 1, 32, 0, 65, 195, 1, 106, 173, 33, 195, 1, 32, 0, 65, 196, 1, 106, 173, 33, 196, 1, 32, 0, 65,
    197, 1, 106, 173, 33, 197, 1, 32, 0, 65, 198, 1, 106, 173, 33, 198, 1, 32, 0, 65, 199, 1, 106, 173, 33, 199, 1, 32, 0, 65, 200, 1, 106, 173, 33, 200,
    1, 66, 0, 32, 1, 124, 32, 2, 124, 32, 3, 124, 32, 4, 124, 32, 5, 124, 32, 6, 124, 32, 7, 124, 32, 8, 124, 32, 9, 124, 32, 10, 124, 32, 11, 124, 32,
    12, 124, 32, 13, 124, 32, 14, 124, 32, 15, 124, 32, 16, 124, 32, 17, 124, 32, 18, 124, 32, 19, 124, 32, 20, 124, 32, 21, 124, 32, 22, 124, 32, 23,
    124, 32, 24, 124, 32, 25, 124, 32, 26, 124, 32, 27, 124, 32, 28, 124, 32, 29, 124, 32, 30, 124, 32, 31, 124, 32, 32, 124, 32, 33, 124, 32, 34, 124,
    32, 35, 124, 32, 36, 124, 32, 37, 124, 32, 38, 124, 32, 39, 124, 32, 40, 124, 32, 41, 124, 32, 42, 124, 32, 43, 124, 32, 44, 124, 32, 45, 124, 32, 46,
    124, 32, 47, 124, 32, 48, 124, 32, 49, 124, 32, 50, 124, 32, 51, 124, 32, 52, 124, 32, 53, 124, 32, 54, 124, 32, 55, 124, 32, 56, 124, 32, 57, 124,
    32, 58, 124, 32, 59, 124, 32, 60, 124, 32, 61, 124, 32, 62, 124, 32, 63, 124, 32, 64, 124, 32, 65, 124, 32, 66, 124, 32, 67, 124, 32, 68, 124, 32, 69,
    124, 32, 70, 124, 32, 71, 124, 32, 72, 124, 32, 73, 124, 32, 74, 124, 32, 75, 124, 32, 76, 124, 32, 77, 124, 32, 78, 124, 32, 79, 124, 32, 80, 124,
    32, 81, 124, 32, 82, 124, 32, 83, 124, 32, 84, 124, 32, 85, 124, 32, 86, 124, 32, 87, 124, 32, 88, 124, 32, 89, 124, 32, 90, 124, 32, 91, 124, 32, 92,
    124, 32, 93, 124, 32, 94, 124, 32, 95, 124, 32, 96, 124, 32, 97, 124, 32, 98, 124, 32, 99, 124, 32, 100, 124, 32, 101, 124, 32, 102, 124, 32, 103,
    124, 32, 104, 124, 32, 105, 124, 32, 106, 124, 32, 107, 124, 32, 108, 124, 32, 109, 124, 32, 110, 124, 32, 111, 124, 32, 112, 124, 32, 113, 124, 32,
    114, 124, 32, 115, 124, 32, 116, 124, 32, 117, 124, 32, 118, 124, 32, 119, 124, 32, 120, 124, 32, 121, 124, 32, 122, 124, 32, 123, 124, 32, 124, 124,
    32, 125, 124, 32, 126, 124, 32, 127, 124, 32, 128, 1, 124, 32, 129, 1, 124, 32, 130, 1, 124, 32, 131, 1, 124, 32, 132, 1, 124, 32, 133, 1, 124, 32,
    134, 1, 124, 32, 135, 1, 124, 32, 136, 1, 124, 32, 137, 1, 124, 32, 138, 1, 124, 32, 139, 1, 124, 32, 140, 1, 124, 32, 141, 1, 124, 32, 142, 1, 124,
    32, 143, 1, 124, 32, 144, 1, 124, 32, 145, 1, 124, 32, 146, 1, 124, 32, 147, 1, 124, 32, 148, 1, 124, 32, 149, 1, 124, 32, 150, 1, 124, 32, 151, 1,
    124, 32, 152, 1, 124, 32, 153, 1, 124, 32, 154, 1, 124, 32, 155, 1, 124, 32, 156, 1, 124, 32, 157, 1, 124, 32, 158, 1, 124, 32, 159, 1, 124, 32, 160,
    1, 124, 32, 161, 1, 124, 32, 162, 1, 124, 32, 163, 1, 124, 32, 164, 1, 124, 32, 165, 1, 124, 32, 166, 1, 124, 32, 167, 1, 124, 32, 168, 1, 124, 32,
    169, 1, 124, 32, 170, 1, 124, 32, 171, 1, 124, 32, 172, 1, 124, 32, 173, 1, 124, 32, 174, 1, 124, 32, 175, 1, 124, 32, 176, 1, 124, 32, 177, 1, 124,
    32, 178, 1, 124, 32, 179, 1, 124, 32, 180, 1, 124, 32, 181, 1, 124, 32, 182, 1, 124, 32, 183, 1, 124, 32, 184, 1, 124, 32, 185, 1, 124, 32, 186, 1,
    124, 32, 187, 1, 124, 32, 188, 1, 124, 32, 189, 1, 124, 32, 190, 1, 124, 32, 191, 1, 124, 32, 192, 1, 124, 32, 193, 1, 124, 32, 194, 1, 124, 32, 195,
    1, 124, 32, 196, 1, 124, 32, 197, 1, 124, 32, 198, 1, 124, 32, 199, 1, 124, 32, 200, 1, 124, 167, 11, 11, 15, 1, 1, 12, 112, 97, 115, 115, 105, 118,
    101, 32, 100, 97, 116, 97, 0, 77, 4, 110, 97, 109, 101, 1, 36, 5, 0, 4, 104, 111, 115, 116, 1, 7, 110, 111, 116, 104, 105, 110, 103, 2, 3, 102, 105,
    98, 11, 4, 108, 111, 111, 112, 12, 7, 114, 101, 99, 117, 114, 115, 101, 4, 8, 2, 0, 1, 118, 1, 2, 105, 105, 5, 4, 1, 0, 1, 116, 7, 4, 1, 0, 1, 103, 8,
    4, 1, 1, 1, 101, 9, 4, 1, 0, 1, 100,
};

static WrTypeRegistry *registry;
static CodeMemory *code;
static WrStore *store;
static WrInstance *instance;
static bool guarded;

static bool double_it(VMContext *callee, VMContext *caller, ValRaw *values, size_t capacity)
{
    (void)callee;
    CHECK_EQ(capacity, 1);
    CHECK(caller == wr_instance_vmctx(instance));
    if (values[0].i32 == 13) {
        wr_store_trap(store, TRAP_HOST);
        return false;
    }
    values[0].i64 = (int64_t)0x7777777700000000 | (uint32_t)(2 * values[0].i32); /* garbage above */
    return true;
}

static void setup(void)
{
    WrError error = { 0 };
    WrTunables tunables = { .memory_reservation = UINT64_C(4) << 30, .memory_guard_bytes = UINT64_C(32) << 20, .guarded_memories = guarded,
                            .signals_based_traps = 1, .interruptible = 1 };
    WasmModule *module;
    CompiledModule *compiled;
    uint64_t host_features;
    wr_cpu_features(&host_features, &tunables.cpu_features);
    REQUIRE(wr_module_decode(wasm, sizeof wasm, WASM_FEATURES_DEFAULT, &module, &error));
    bool ok = wr_compile_module(module, &tunables, 1, &compiled, &error);
    if (!ok) CHECK_FAIL("%s", error.message);
    REQUIRE(ok);
    const WasmModule *modules[] = { module };
    const CompiledModule *all[] = { compiled };
    WrImageInput input = { .kind = WR_IMAGE_MODULE, .tunables = &tunables, .wasm_features = WASM_FEATURES_DEFAULT, .modules = modules, .compiled = all, .num_modules = 1 };
    REQUIRE(wr_image_build(&input, &code, &error));
    wr_compiled_module_free(compiled);
    wr_module_free(module);
    registry = wr_types_new();
    store = wr_store_new(registry, 256 << 10, NULL, &error);
    const uint32_t *ids;
    REQUIRE(registry != NULL && store != NULL && wr_types_register_module(registry, wr_code_module(code, 0, &error), &ids, &error));
    WrExtern import = { .kind = WASM_EXTERN_FUNC };
    import.func = wr_host_func_new(store, ids[1], double_it, NULL, &error);
    REQUIRE(import.func != NULL);
    ok = wr_instance_new(store, code, 0, ids, &import, 1, &instance, &error);
    if (!ok) CHECK_FAIL("%s", error.message);
    REQUIRE(ok);
}

static void teardown(void)
{
    wr_store_free(store);
    wr_code_release(code);
    wr_types_release(registry);
    (void)vm_memory_pool_drain();
}

static WrExtern exported(const char *name)
{
    WrExtern found = { 0 };
    bool ok = wr_instance_export(instance, name, strlen(name), &found);
    if (!ok) CHECK_FAIL("no export %s", name);
    REQUIRE(ok);
    return found;
}

/* The trap code, or -1 and the result. */
static int64_t call(const char *name, int64_t argument, int32_t *out_result)
{
    ValRaw values[1] = { { .i64 = (int64_t)0x5555555500000000 | (uint32_t)argument } };
    WrEntry entry;
    VMFuncRef *func = exported(name).func;
    REQUIRE(wr_store_enter(store, &entry) == WR_ENTER_OK);
    bool ok = func->array_call(func->vmctx, NULL, values, 1);
    wr_store_leave(store, &entry);
    CHECK(wr_store_running(store) || store->context.last_entry == NULL);
    if (out_result != NULL) *out_result = values[0].i32;
    return ok ? -1 : (int64_t)wr_store_context(store)->trap_code;
}

#define RETURNS(name, argument, expected)                          \
    do {                                                           \
        int32_t result = 0;                                        \
        CHECK_EQ(call(name, argument, &result), -1);               \
        CHECK_EQ((int64_t)result, (int64_t)(expected));            \
    } while (0)
#define TRAPS(name, argument, trap_code) CHECK_EQ(call(name, argument, NULL), trap_code)

static uint32_t innermost(const char **out_name, size_t *out_count)
{
    static WrFrame frames[VM_MAX_TRAP_FRAMES];
    size_t length;
    *out_count = wr_store_backtrace(store, frames, VM_MAX_TRAP_FRAMES);
    REQUIRE(*out_count > 0);
    if (!wr_module_func_name(wr_code_module(code, 0, NULL), frames[0].place.func_index, out_name, &length)) *out_name = "";
    return frames[0].place.func_index;
}

static void arithmetic_and_calls(void)
{
    RETURNS("fib", 20, 6765);
    RETURNS("big", 1, 20300);
    RETURNS("div", 2, -1073741824);
    TRAPS("div", 0, TRAP_INTEGER_DIVISION_BY_ZERO);
    TRAPS("div", -1, TRAP_INTEGER_OVERFLOW);
    RETURNS("rem", -1, 0);
    TRAPS("rem", 0, TRAP_INTEGER_DIVISION_BY_ZERO);
    RETURNS("trunc", 0x40490fdb, 3);
    TRAPS("trunc", 0x7fc00000, TRAP_BAD_CONVERSION_TO_INTEGER);
    TRAPS("trunc", 0x4f000000, TRAP_INTEGER_OVERFLOW);
    TRAPS("unreachable", 0, TRAP_UNREACHABLE);
    RETURNS("count", 1000000, 1000000);
}

static void memory_accesses(void)
{
    RETURNS("load", 65532, 0);
    TRAPS("load", 65533, TRAP_MEMORY_OUT_OF_BOUNDS);
    TRAPS("load", -1, TRAP_MEMORY_OUT_OF_BOUNDS);
    TRAPS("load_far", 0, TRAP_MEMORY_OUT_OF_BOUNDS);
    TRAPS("load_far", -1, TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(call("store", 65532, NULL), -1);
    RETURNS("load", 65532, 99);
    TRAPS("store", 65534, TRAP_MEMORY_OUT_OF_BOUNDS);
    RETURNS("load", 65532, 99);
    RETURNS("grow", 1, 1);
    RETURNS("load", 65536, 0);
    RETURNS("grow", 2, -1);
    RETURNS("grow", -1, -1);
    RETURNS("grow", 0, 2);
    CHECK_EQ(call("fill", 131056, NULL), -1);
    RETURNS("load", 131068, 0x07070707);
    TRAPS("fill", 131057, TRAP_MEMORY_OUT_OF_BOUNDS);
    TRAPS("fill", -1, TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(call("copy", 131056, NULL), -1);
    RETURNS("load", 0, 0x07070707);
    TRAPS("copy", 131057, TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(call("init", 100, NULL), -1);
    CHECK_BYTES(wr_memory_def(exported("m").memory)->base + 100, "passive data", 12);
    TRAPS("init", 131070, TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK_EQ(call("drop", 0, NULL), -1);
    TRAPS("init", 100, TRAP_MEMORY_OUT_OF_BOUNDS);
}

static void tables(void)
{
    RETURNS("indirect", 0, 55);
    RETURNS("indirect", 1, 20);
    TRAPS("indirect", 2, TRAP_INDIRECT_CALL_TO_NULL);
    TRAPS("indirect", 4, TRAP_TABLE_OUT_OF_BOUNDS);
    TRAPS("indirect", -1, TRAP_TABLE_OUT_OF_BOUNDS);
    CHECK_EQ(call("table_init", 2, NULL), -1);
    RETURNS("indirect", 2, 55);
    TRAPS("indirect", 3, TRAP_BAD_SIGNATURE);
    TRAPS("table_init", 3, TRAP_TABLE_OUT_OF_BOUNDS);
    CHECK_EQ(call("table_copy", 0, NULL), -1);
    RETURNS("indirect", 3, 20);
    TRAPS("table_copy", 3, TRAP_TABLE_OUT_OF_BOUNDS);
    RETURNS("table_grow", 6, 4);
    RETURNS("indirect", 9, 55);
    RETURNS("table_grow", 1, -1);
    CHECK_EQ(call("table_fill", 9, NULL), -1);
    TRAPS("indirect", 9, TRAP_INDIRECT_CALL_TO_NULL);
    TRAPS("table_fill", 10, TRAP_TABLE_OUT_OF_BOUNDS);
}

static void hosts(void)
{
    RETURNS("host", 4, 16);
    TRAPS("host", 13, TRAP_HOST);
    const char *name;
    size_t count;
    innermost(&name, &count);
    CHECK_EQ(count, 1);
}

static void overflow(void)
{
    const char *name;
    size_t count;
    for (int i = 0; i < 3; i++) {
        TRAPS("recurse", 0, TRAP_STACK_OVERFLOW);
        innermost(&name, &count);
        CHECK(count > 100);
        CHECK_CONTAINS(name, "recurse");
    }
    RETURNS("fib", 10, 55);
}

static int ticks;
static int on_interrupt(WrStore *interrupted, void *host)
{
    (void)host;
    /* the guest may be entered again from here */
    if (ticks == 2) RETURNS("fib", 10, 55);
    if (++ticks < 4) return 0;
    wr_store_trap(interrupted, TRAP_INTERRUPT);
    return 1;
}

static void interrupts(void)
{
    WrHooks hooks = { .interrupt = on_interrupt }, none = { 0 };
    const char *name;
    size_t count;
    ticks = 0;
    wr_set_hooks(&hooks);
    TRAPS("loop", 0, TRAP_INTERRUPT);
    CHECK_EQ(ticks, 4);
    innermost(&name, &count);
    CHECK_EQ(count, 1);
    CHECK_CONTAINS(name, "loop");
    wr_set_hooks(&none);
}

/* A tick that comes when the stack is used up must not let the frame pass: the hook is served, then the check is made again. */
static int served;
static int on_pending(WrStore *interrupted, void *host)
{
    (void)interrupted, (void)host;
    served++;
    return 0;
}

static void overflow_under_a_tick(void)
{
    WrHooks hooks = { .interrupt = on_pending }, none = { 0 };
    wr_set_hooks(&hooks);
    served = 0;
    WrEntry entry;
    VMFuncRef *func = exported("fib").func;
    ValRaw values[1] = { { .i32 = 5 } };
    REQUIRE(wr_store_enter(store, &entry) == WR_ENTER_OK);
    uintptr_t real = store->context.real_stack_limit;
    wr_interrupt_all();
    bool ok = func->array_call(func->vmctx, NULL, values, 1);
    CHECK(ok && values[0].i32 == 5 && served == 1);
    /* `big` has a frame of more than 1600 bytes: it must not run with less than that left */
    func = exported("big").func;
    int passed = 0, trapped = 0;
    for (uintptr_t left = 256; left < 8192; left += 16) {
        store->context.real_stack_limit = (uintptr_t)__builtin_frame_address(0) - left;
        wr_interrupt_all();
        values[0].i32 = 1;
        ok = func->array_call(func->vmctx, NULL, values, 1);
        ok ? passed++ : trapped++;
        CHECK(ok ? left > 1600 && values[0].i32 == 200 + 20100 : store->context.trap_code == TRAP_STACK_OVERFLOW);
    }
    CHECK(passed > 0 && trapped > 80);
    store->context.real_stack_limit = real;
    vm_set_stack_limit(&store->context, real);
    wr_store_leave(store, &entry);
    wr_set_hooks(&none);
}

int main(void)
{
    WrError error = { 0 };
    REQUIRE(wr_signals_install(&error));
    for (int round = 0; round < 2; round++) {
        guarded = round == 0;
        setup();
        RUN(arithmetic_and_calls);
        RUN(memory_accesses);
        RUN(tables);
        RUN(hosts);
        RUN(overflow);
        RUN(interrupts);
        RUN(overflow_under_a_tick);
        teardown();
    }
    return check_result();
}
