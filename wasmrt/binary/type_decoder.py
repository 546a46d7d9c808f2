"""Decodes type definitions: core types (for module types), component value types, function, component and instance
types, and the declarations inside the latter.

Component and instance types nest; the depth is counted together with that of components (limits.COMPONENT_DEPTH).
"""

from __future__ import annotations

from wasmrt.spec import limits
from wasmrt.spec import types as t
from wasmrt.spec import valtypes as vt
from wasmrt.spec.core_types import CoreFuncType, GlobalType, MemoryType, TableType

from . import records as r
from .cursor import Cursor

PRIMITIVES: dict[int, t.AnyValType] = {
    0x7F: t.Bool(),
    0x7E: t.S8(),
    0x7D: t.U8(),
    0x7C: t.S16(),
    0x7B: t.U16(),
    0x7A: t.S32(),
    0x79: t.U32(),
    0x78: t.S64(),
    0x77: t.U64(),
    0x76: t.F32(),
    0x75: t.F64(),
    0x74: t.Char(),
    0x73: t.String(),
    0x64: t.ErrorContext(),
}

CORE_VALTYPES = {
    0x7F: vt.VALTYPE_I32,
    0x7E: vt.VALTYPE_I64,
    0x7D: vt.VALTYPE_F32,
    0x7C: vt.VALTYPE_F64,
    0x7B: vt.VALTYPE_V128,
}
HEAP_TYPES = {
    0x74: vt.HEAP_NOEXN,
    0x73: vt.HEAP_NOFUNC,
    0x72: vt.HEAP_NOEXTERN,
    0x71: vt.HEAP_NONE,
    0x70: vt.HEAP_FUNC,
    0x6F: vt.HEAP_EXTERN,
    0x6E: vt.HEAP_ANY,
    0x6D: vt.HEAP_EQ,
    0x6C: vt.HEAP_I31,
    0x6B: vt.HEAP_STRUCT,
    0x6A: vt.HEAP_ARRAY,
    0x69: vt.HEAP_EXN,
}

CORE_SORTS = {
    0x00: r.Sort.CORE_FUNC,
    0x01: r.Sort.CORE_TABLE,
    0x02: r.Sort.CORE_MEMORY,
    0x03: r.Sort.CORE_GLOBAL,
    0x04: r.Sort.CORE_TAG,
    0x10: r.Sort.CORE_TYPE,
    0x11: r.Sort.CORE_MODULE,
    0x12: r.Sort.CORE_INSTANCE,
}
SORTS = {
    0x01: r.Sort.FUNC,
    0x02: r.Sort.VALUE,
    0x03: r.Sort.TYPE,
    0x04: r.Sort.COMPONENT,
    0x05: r.Sort.INSTANCE,
}


# --- core types ---


def core_valtype(c: Cursor) -> int:
    at = c.pos
    code = c.byte("core value type")
    word = CORE_VALTYPES.get(code)
    if word is not None:
        return word
    if code in HEAP_TYPES:
        return vt.ref_type(True, HEAP_TYPES[code])
    if code in (0x63, 0x64):
        return _heap_type(c, nullable=code == 0x63)
    raise c.error(f"invalid value type {code:#04x}", at=at, expected="core value type")


def _reftype(c: Cursor) -> int:
    at = c.pos
    word = core_valtype(c)
    if word & 0xF != vt.KIND_REF:
        raise c.error(f"malformed reference type {vt.valtype_str(word)}", at=at, expected="reference type")
    return word


def _heap_type(c: Cursor, nullable: bool) -> int:
    at = c.pos
    code = c.s33("heap type")
    if code >= 0:
        if code > limits.TYPES:
            raise limits.exceeded(code, "as a type index", limits.TYPES, offset=at, path=c.path)
        return vt.ref_type(nullable, code, concrete=True)
    heap = HEAP_TYPES.get(code & 0x7F) if code >= -64 else None
    if heap is None:
        raise c.error(f"invalid heap type {code}", at=at, expected="heap type")
    return vt.ref_type(nullable, heap)


def _limits(c: Cursor, *, memory: bool) -> tuple[int, int | None, bool, bool, int]:
    at = c.pos
    flags = c.byte("limits")
    if flags & ~(0x0F if memory else 0x07):
        raise c.error(f"malformed limits flags {flags:#04x}", at=at, expected="limits")
    is_64 = bool(flags & 4)
    number = c.u64 if is_64 else c.u32
    minimum = number("minimum")
    maximum = number("maximum") if flags & 1 else None
    page_size_log2 = 16
    if flags & 8:
        at = c.pos
        page_size_log2 = c.u32("page size")
        if page_size_log2 not in (0, 16):
            raise c.error(f"invalid custom page size 2^{page_size_log2}", at=at, expected="1 or 65536")
    return minimum, maximum, is_64, bool(flags & 2), page_size_log2


def _core_extern(c: Cursor) -> r.CoreExternRef:
    at = c.pos
    kind = c.byte("core extern type")
    match kind:
        case 0x00:
            return r.CoreFuncRef(r.CoreTypeIndex(c.u32("type index")))
        case 0x01:
            element = _reftype(c)
            minimum, maximum, is_64, shared, _ = _limits(c, memory=False)
            return TableType(element, minimum, maximum, is_64, shared)
        case 0x02:
            return MemoryType(*_limits(c, memory=True))
        case 0x03:
            content = core_valtype(c)
            return GlobalType(content, c.flag("mutability"))
        case 0x04:
            c.fixed(0x00, "tag attribute")
            return r.CoreFuncRef(r.CoreTypeIndex(c.u32("type index")), is_tag=True)
    raise c.error(f"invalid core extern kind {kind:#04x}", at=at, expected="0x00 to 0x04")


def _core_composite(c: Cursor) -> CoreFuncType | r.CoreCompositeType:
    at = c.pos
    code = c.byte("core type")
    match code:
        case 0x60:
            count = c.count("core parameters", limits.FUNCTION_PARAMS)
            params = tuple(core_valtype(c) for _ in range(count))
            count = c.count("core results", limits.FUNCTION_RESULTS)
            return CoreFuncType(params, tuple(core_valtype(c) for _ in range(count)))
        case 0x5F:
            for _ in range(c.count("fields")):
                _field_type(c)
            return r.CoreCompositeType(at, "struct")
        case 0x5E:
            _field_type(c)
            return r.CoreCompositeType(at, "array")
    raise c.error(f"invalid core type {code:#04x}", at=at, expected="func, struct or array type")


def _field_type(c: Cursor) -> None:
    if c.pos < c.end and c.data[c.pos] in (0x77, 0x78):
        c.pos += 1
    else:
        core_valtype(c)
    c.flag("mutability")


def _core_subtype(c: Cursor) -> CoreFuncType | r.CoreCompositeType:
    at = c.pos
    if c.pos < c.end and c.data[c.pos] in (0x50, 0x4F):
        c.pos += 1
        supertypes = [c.u32("supertype index") for _ in range(c.count("supertypes"))]
        if len(supertypes) > 1:
            raise c.error("more than one supertype", at=at)
        composite = _core_composite(c)
        return r.CoreCompositeType(at, "sub") if isinstance(composite, CoreFuncType) else composite
    return _core_composite(c)


def core_type(c: Cursor, depth: int) -> r.CoreType:
    """One definition of the core type section, or a type declaration of a module type."""
    at = c.pos
    if c.pos >= c.end:
        raise c.error("unexpected end-of-file", expected="core type")
    code = c.data[c.pos]
    if code == 0x50:
        c.pos += 1
        return _core_module_type(c, at, depth + 1)
    if code == 0x4E:
        c.pos += 1
        return r.CoreRecType(at, [_core_subtype(c) for _ in range(c.count("types of a recursion group"))])
    if code == 0x00:
        c.pos += 1
        if c.pos < c.end and c.data[c.pos] != 0x50:
            raise c.error("invalid core type", at=at, expected="0x00 0x50, a non-final sub type")
    return r.CoreRecType(at, [_core_subtype(c)])


def _core_module_type(c: Cursor, start: int, depth: int) -> r.CoreModuleType:
    check_depth(c, depth)
    module = r.CoreModuleType(start, [])
    for _ in range(c.count("module type declarations")):
        at = c.pos
        match c.byte("type definition"):
            case 0x00:
                module_name = c.name("import module name")
                name = c.name("import name")
                module.decls.append(r.CoreImportDecl(at, module_name, name, _core_extern(c)))
            case 0x01:
                module.decls.append(core_type(c, depth))
            case 0x02:
                c.fixed(0x10, "outer alias kind")
                c.fixed(0x01, "outer alias target")
                module.decls.append(r.CoreAliasDecl(at, c.u32("outer count"), r.CoreTypeIndex(c.u32("type index"))))
            case 0x03:
                name = c.name("export name")
                module.decls.append(r.CoreExportDecl(at, name, _core_extern(c)))
            case code:
                raise c.leading(code, "type definition", at=at)
    return module


# --- component types ---


def check_depth(c: Cursor, depth: int) -> None:
    limits.check("COMPONENT_DEPTH", depth, offset=c.pos, path=c.path)


def valtype(c: Cursor) -> r.ValTypeRef:
    at = c.pos
    if c.pos < c.end:
        primitive = PRIMITIVES.get(c.data[c.pos])
        if primitive is not None:
            c.pos += 1
            return primitive
    index = c.s33("value type")
    if index < 0:
        raise c.error(f"invalid value type {c.data[at]:#04x}", at=at, expected="primitive type or type index")
    return index


def optional_valtype(c: Cursor, what: str) -> r.ValTypeRef | None:
    return valtype(c) if c.flag(what) else None


def _labels(c: Cursor, what: str) -> list[str]:
    return [c.name(what) for _ in range(c.count(what + "s"))]


def _labelled(c: Cursor, what: str, count: int) -> list[tuple[str, r.ValTypeRef]]:
    return [(c.name(what), valtype(c)) for _ in range(count)]


def result_list(c: Cursor) -> r.ValTypeRef | None:
    at = c.pos
    match c.byte("function result"):
        case 0x00:
            return valtype(c)
        case 0x01:
            c.fixed(0x00, "number of results")
            return None
        case code:
            raise c.leading(code, "component function results", at=at)


def type_def(c: Cursor, depth: int) -> r.TypeDef:
    at = c.pos
    code = c.byte("type definition")
    primitive = PRIMITIVES.get(code)
    if primitive is not None:
        return r.PrimitiveDef(at, primitive)
    match code:
        case 0x72:
            return r.RecordDef(at, _labelled(c, "record field", c.count("record fields")))
        case 0x71:
            return r.VariantDef(at, [_case(c) for _ in range(c.count("variant cases"))])
        case 0x70:
            return r.ListDef(at, valtype(c), None)
        case 0x67:
            element = valtype(c)
            return r.ListDef(at, element, c.u32("list length"))
        case 0x6F:
            return r.TupleDef(at, [valtype(c) for _ in range(c.count("tuple elements"))])
        case 0x6E:
            return r.FlagsDef(at, _labels(c, "flag name"))
        case 0x6D:
            return r.EnumDef(at, _labels(c, "enum case"))
        case 0x6B:
            return r.OptionDef(at, valtype(c))
        case 0x6A:
            ok = optional_valtype(c, "optional ok type")
            return r.ResultDef(at, ok, optional_valtype(c, "optional error type"))
        case 0x69 | 0x68:
            return r.HandleDef(at, r.LocalTypeIndex(c.u32("resource type index")), code == 0x69)
        case 0x66 | 0x65:
            return r.AsyncValueDef(at, optional_valtype(c, "optional payload type"), code == 0x66)
        case 0x63:
            key = valtype(c)
            return r.MapDef(at, key, valtype(c))
        case 0x40 | 0x43:
            params = _labelled(c, "parameter name", c.count("function parameters", limits.COMPONENT_FUNC_PARAMS))
            return r.FuncTypeDef(at, params, result_list(c), code == 0x43)
        case 0x41:
            check_depth(c, depth + 1)
            return r.ComponentTypeDef(at, _declarations(c, depth + 1, in_component=True))
        case 0x42:
            check_depth(c, depth + 1)
            return r.InstanceTypeDef(at, _declarations(c, depth + 1, in_component=False))
        case 0x3F:
            rep = core_valtype(c)
            dtor = r.CoreFuncIndex(c.u32("destructor index")) if c.flag("optional destructor") else None
            return r.ResourceDef(at, rep, dtor)
    raise c.leading(code, "component defined type", at=at)


def _case(c: Cursor) -> tuple[str, r.ValTypeRef | None]:
    name = c.name("variant case name")
    payload = optional_valtype(c, "optional case type")
    c.fixed(0x00, "zero byte required")
    return name, payload


def _declarations(c: Cursor, depth: int, *, in_component: bool) -> list[r.Declaration]:
    decls: list[r.Declaration] = []
    what = "component type declarations" if in_component else "instance type declarations"
    for _ in range(c.count(what)):
        at = c.pos
        code = c.byte("component or instance type declaration")
        match code:
            case 0x00:
                decls.append(core_type(c, depth))
            case 0x01:
                decls.append(type_def(c, depth))
            case 0x02:
                decls.append(alias(c))
            case 0x03 if in_component:
                name = extern_name(c)
                decls.append(r.Import(at, name, extern_type(c)))
            case 0x04:
                name = extern_name(c)
                decls.append(r.ExportDecl(at, name, extern_type(c)))
            case _:
                raise c.leading(code, "component or instance type declaration", at=at)
    return decls


def sort(c: Cursor, what: str = "component external kind") -> r.Sort:
    at = c.pos
    code = c.byte("sort")
    if code == 0x00:
        code = c.byte("core sort")
        if code not in CORE_SORTS:
            raise c.leading(code, what, at=at + 1)
        return CORE_SORTS[code]
    if code not in SORTS:
        raise c.leading(code, what, at=at)
    return SORTS[code]


def alias(c: Cursor) -> r.Alias:
    at = c.pos
    kind = sort(c, "component outer alias kind")
    where = c.pos
    match c.byte("alias target"):
        case 0x00:
            if kind.value.startswith("core ") and kind is not r.Sort.CORE_MODULE:
                raise c.error(f"an instance cannot export a {kind.value}", at=at, expected="component-level sort")
            instance = r.InstanceIndex(c.u32("instance index"))
            return r.AliasExport(at, kind, instance, c.name("export name"))
        case 0x01:
            if kind.value not in ("core func", "core table", "core memory", "core global", "core tag"):
                raise c.error(f"a core instance cannot export a {kind.value}", at=at, expected="core sort")
            core_instance = r.CoreInstanceIndex(c.u32("core instance index"))
            return r.AliasCoreExport(at, kind, core_instance, c.name("export name"))
        case 0x02:
            if kind not in (r.Sort.CORE_MODULE, r.Sort.CORE_TYPE, r.Sort.TYPE, r.Sort.COMPONENT):
                raise c.error(
                    f"invalid leading byte ({c.data[where - 1]:#x}) for component outer alias kind: a {kind.value}",
                    at=at,
                    expected="module, type or component",
                )
            count = c.u32("outer count")
            return r.AliasOuter(at, kind, count, c.u32("outer index"))
        case code:
            raise c.leading(code, "alias", at=where)


def extern_name(c: Cursor) -> r.ExternName:
    at = c.pos
    code = c.byte("name of an import or export")
    if code > 0x02:
        raise c.leading(code, "component name", at=at)
    name = r.ExternName(c.pos, c.name("name of an import or export"))
    if code == 0x02:
        for _ in range(c.count("attributes")):
            _attribute(c, name)
    return name


def _attribute(c: Cursor, name: r.ExternName) -> None:
    at = c.pos
    code = c.byte("attribute")
    fields = ("implements", "version_suffix", "external_id")
    if code >= len(fields):
        raise c.leading(code, "name option", at=at)
    if getattr(name, fields[code]) is not None:
        word = fields[code].replace("_", "-")
        raise c.invalid(f"duplicate '{word}' option in name", at=at)
    setattr(name, fields[code], c.name("attribute text"))


def extern_type(c: Cursor) -> r.ExternTypeRef:
    at = c.pos
    match c.byte("component external kind"):
        case 0x00:
            c.fixed(0x11, "component external kind")
            return r.ExternTypeRef(at, r.Sort.CORE_MODULE, c.u32("core type index"))
        case 0x01:
            return r.ExternTypeRef(at, r.Sort.FUNC, c.u32("type index"))
        case 0x02:
            if c.flag("value bound"):
                return r.ExternTypeRef(at, r.Sort.VALUE, None, valtype(c))
            return r.ExternTypeRef(at, r.Sort.VALUE, c.u32("value index"))
        case 0x03:
            if c.flag("type bound"):
                return r.ExternTypeRef(at, r.Sort.TYPE, None)
            return r.ExternTypeRef(at, r.Sort.TYPE, c.u32("type index"))
        case 0x04:
            return r.ExternTypeRef(at, r.Sort.COMPONENT, c.u32("type index"))
        case 0x05:
            return r.ExternTypeRef(at, r.Sort.INSTANCE, c.u32("type index"))
        case code:
            raise c.leading(code, "component external kind", at=at)
