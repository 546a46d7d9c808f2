# cython: language_level=3
"""Plans and the values that cross by them; `abi.pyx` says what each is for."""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from wasmrt._native.capi cimport ValRaw, VMMemoryDef
from wasmrt._native.pyapi cimport PyTypeObject, decref

cdef extern from "wasmrt/abi.h" nogil:
    enum:
        ABI_OP_BOOL
        ABI_OP_S8
        ABI_OP_U8
        ABI_OP_S16
        ABI_OP_U16
        ABI_OP_S32
        ABI_OP_U32
        ABI_OP_S64
        ABI_OP_U64
        ABI_OP_F32
        ABI_OP_F64
        ABI_OP_CHAR
        ABI_OP_STRING
        ABI_OP_BYTES
        ABI_OP_LIST
        ABI_OP_FIXED_LIST
        ABI_OP_MAP
        ABI_OP_RECORD
        ABI_OP_TUPLE
        ABI_OP_VARIANT
        ABI_OP_BARE
        ABI_OP_OPTION
        ABI_OP_ENUM
        ABI_OP_FLAGS
        ABI_OP_OWN
        ABI_OP_BORROW
        ABI_OP_CHANNEL
        ABI_OP_COUNT
    enum:
        ABI_KIND_NONE
        ABI_KIND_BOOL
        ABI_KIND_INT
        ABI_KIND_OTHER_INT
        ABI_KIND_FLOAT
        ABI_KIND_OTHER_FLOAT
        ABI_KIND_STR
        ABI_KIND_BYTES
        ABI_KIND_BUFFER
        ABI_KIND_LIST
        ABI_KIND_TUPLE
        ABI_KIND_SET
        ABI_KIND_FROZENSET
        ABI_KIND_DICT
        ABI_KIND_RECORD
        ABI_KIND_VARIANT
        ABI_KIND_RESOURCE
        ABI_KIND_OTHER
    enum:
        ABI_ALLOCATES
        ABI_RESOURCES
        ABI_BORROWS
        ABI_SCALAR
    enum:
        ABI_UTF8
        ABI_UTF16
        ABI_LATIN1_UTF16
    enum:
        ABI_STEP_COPY
        ABI_STEP_BUFFER
        ABI_STEP_TEXT
        ABI_STEP_OWN
        ABI_STEP_BORROW
        ABI_STEP_PLACE
    const uint32_t ABI_NO_NODE
    const uint32_t ABI_MAX_BYTES
    const uint64_t ABI_LIFT_FACTOR
    const uint64_t ABI_LIFT_MAX_SHARE
    const uint64_t ABI_LIFT_FREE_BYTES
    const uint32_t ABI_MAX_FLAT_PARAMS
    const uint32_t ABI_MAX_FLAT_RESULTS
    const uint32_t ABI_INLINE_STEPS
    const uint32_t ABI_INLINE_BYTES

    ctypedef struct AbiNode:
        uint8_t op
        uint8_t flags
        uint8_t disc_size
        uint8_t align
        uint32_t size
        uint32_t flat
        uint32_t first
        uint32_t count
        uint32_t payload_offset
        uint32_t length
        uint32_t exact
        uint32_t loose
        uint32_t type
        uint32_t names
        uint32_t lookup
    ctypedef struct AbiField:
        uint32_t node
        uint32_t offset
        uint32_t slot
        uint32_t place
        uint32_t place_by_hand
    ctypedef struct AbiStep:
        uint8_t kind
        uint8_t align
        uint8_t width
        uint8_t encoding
        uint32_t resource
        uint8_t *patch
        const void *source
        uint64_t size
        uint64_t units
        uint64_t guest
        void *owner
        void *lent
    ctypedef struct AbiChunk:
        AbiChunk *next
    ctypedef struct AbiCall:
        const AbiNode *nodes
        const AbiField *fields
        void **objects
        VMMemoryDef *memory
        uint64_t lift_bytes_left
        uint32_t encoding
        uint32_t num_steps
        uint32_t capacity
        AbiStep *steps
        uint8_t *top
        uint8_t *limit
        AbiChunk *chunks
        void *path
        void *instance
        void *scope
        void *realloc_func
        int (*realloc_guest)(AbiCall *call, uint32_t align, uint64_t size, uint64_t *out_address) noexcept
        int (*stage_resource)(AbiCall *call, const AbiNode *node, void *value, AbiStep *step) noexcept
        int (*commit_resource)(AbiCall *call, AbiStep *step, uint32_t *out_handle) noexcept
        void (*finish_resource)(AbiCall *call, AbiStep *step, int committed) noexcept
        void *(*lift_buffer)(AbiCall *call, const AbiNode *element, const uint8_t *at, uint32_t count) noexcept
        void *results
        void *(*lift_resource)(AbiCall *call, const AbiNode *node, uint32_t handle) noexcept
        AbiStep first_steps[4]
        uint8_t first_bytes[2048]


cdef class Resource:
    pass


cdef class Variant:
    cdef public object tag
    cdef public object payload


cdef class Plan:
    cdef AbiNode *nodes
    cdef AbiField *fields
    cdef PyObject **objects           # borrowed from `kept`
    cdef uint32_t first_param, num_params
    cdef uint32_t params_flat, params_size, params_align, params_flags
    cdef uint32_t result, result_flat
    cdef bint params_spill, result_spills, params_simple
    cdef readonly tuple param_names
    cdef readonly dict param_lookup
    cdef readonly object type
    cdef tuple kept


cdef inline void call_init(AbiCall *call, Plan plan) noexcept:
    """What every use of a plan sets; memory, encoding and hooks are set by who has them."""
    call.nodes = plan.nodes
    call.fields = plan.fields
    call.objects = <void **>plan.objects
    call.num_steps = 0
    call.capacity = 4
    call.steps = call.first_steps
    call.top = call.first_bytes
    call.limit = call.first_bytes + ABI_INLINE_BYTES
    call.chunks = NULL
    call.path = NULL
    call.lift_buffer = NULL


cdef PyObject **spare_records() noexcept
cdef int fail(AbiCall *call, object cls, object text) noexcept
cdef int fail_type(AbiCall *call, const AbiNode *node, PyObject *value) noexcept
cdef int fail_range(AbiCall *call, const AbiNode *node, PyObject *value) noexcept
cdef int add_index(AbiCall *call, Py_ssize_t index) noexcept
cdef int add_name(AbiCall *call, PyObject *name) noexcept
cdef int raise_with_path(AbiCall *call, object head) except -1
cdef str type_text(object ty)
cdef void raise_trap(uint32_t code, object text) noexcept
cdef uint8_t *stage_bytes(AbiCall *call, uint64_t size) noexcept
cdef AbiStep *add_step(AbiCall *call) noexcept
cdef int add_copy(AbiCall *call, uint8_t align, const void *source, uint64_t size, uint8_t *patch, PyObject *owner) noexcept
cdef void finish(AbiCall *call, bint committed) noexcept


cdef inline void finish_committed(AbiCall *call) noexcept:
    """`finish(call, True)`; one copied string or list, which is the usual case, without a call."""
    if call.num_steps == 1 and call.first_steps[0].kind == ABI_STEP_COPY and call.chunks == NULL:
        if call.first_steps[0].owner != NULL:
            decref(<PyObject *>call.first_steps[0].owner)
        call.num_steps = 0
        return
    finish(call, True)
