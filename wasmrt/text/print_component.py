"""Components, from bytes to text.

Each definition becomes one field without sugar, in the order of the binary, so that encoding the text adds nothing of its
own: value types that are not primitive are indices, imports have a `(type n)`. Names of the `component-name` section
become identifiers. Core types are read again from their bytes, since the decoded records keep less of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wasmrt.binary import records as r
from wasmrt.binary.cursor import Cursor
from wasmrt.binary.decoder import BUILTINS
from wasmrt.binary.records import Sort
from wasmrt.binary.type_decoder import sort as read_sort
from wasmrt.errors import DecodeError
from wasmrt.spec import valtypes as vt
from wasmrt.spec.core_types import GlobalType, TableType

from .print_module import ModulePrinter
from .values import print_value
from .writer import Lines, Names, quoted, quoted_name

_NAMES = "component-name"
_BUILTIN_WORDS = {name: immediates.split() for name, immediates in BUILTINS.values()}


class ComponentPrinter:
    """One component with what is in it, written to `lines`."""

    def __init__(self, data: memoryview, component: r.ComponentDef, lines: Lines) -> None:
        self.data = data
        self.component = component
        self.lines = lines
        self.counts = dict.fromkeys(Sort, 0)
        self.names = {sort: Names() for sort in Sort}
        self.name: str | None = None
        self.type_defs: dict[int, r.TypeDef] = {}
        for custom in component.customs:
            if custom.name == _NAMES:
                try:
                    self._read_names(Cursor(data, custom.start, custom.end))
                except DecodeError:
                    pass  # names are for reading only

    def _read_names(self, c: Cursor) -> None:
        end = c.end
        while c.pos < end:
            code = c.byte("name subsection")
            size = c.u32("subsection size")
            c.end = after = min(c.pos + size, end)
            if code == 0:
                self.name = c.name("component name")
            elif code == 1:
                kind = read_sort(c)
                found = {}
                for _ in range(c.count("names")):
                    index = c.u32("index")
                    found[index] = c.name("name")
                self.names[kind] = Names(found)
            c.pos, c.end = after, end

    def head(self) -> str:
        if self.name is None:
            return ""
        names = Names({0: self.name})
        return " " + names.ids[0] if names.ids else names.annotation(0)

    # --- fields ---

    def print_fields(self) -> None:
        parts: list[Any] = [*self.component.definitions, *(c for c in self.component.customs if c.name != _NAMES)]
        for part in sorted(parts, key=lambda part: part.offset):
            if isinstance(part, r.CustomSection):
                data = bytes(self.data[part.start : part.end])
                self.lines.add(f"(@custom {quoted_name(part.name)} {quoted(data)})")
            else:
                self._definition(part)

    def next(self, sort: Sort) -> str:
        """How the next item of a sort is introduced."""
        index = self.counts[sort]
        self.counts[sort] += 1
        return self.names[sort].binder(index)

    def ref(self, sort: Sort, index: int) -> str:
        return self.names[sort].ref(index) if index < self.counts[sort] else str(index)

    def sort_index(self, item: r.SortIndex, *, core: bool = False) -> str:
        word = item.sort.value.removeprefix("core ") if core else item.sort.value
        return f"({word} {self.ref(item.sort, item.index)})"

    def _definition(self, d: r.Definition) -> None:
        match d:
            case r.CoreModuleDef():
                self._core_module(d)
            case r.ComponentDef():
                self._component(d)
            case r.CoreRecType():
                self.lines.add(self._core_rec(d))
            case r.CoreModuleType():
                self._core_module_type(d)
            case r.CoreInstantiate():
                binder = self.next(Sort.CORE_INSTANCE)
                args = [
                    f" (with {quoted_name(name)} (instance {self.ref(Sort.CORE_INSTANCE, i)}))" for name, i in d.args
                ]
                module = self.ref(Sort.CORE_MODULE, d.module)
                self.lines.add(f"(core instance {binder} (instantiate {module}{''.join(args)}))")
            case r.CoreInstanceFromExports():
                exports = [
                    f" (export {quoted_name(name)} {self.sort_index(item, core=True)})" for name, item in d.exports
                ]
                self.lines.add(f"(core instance {self.next(Sort.CORE_INSTANCE)}{''.join(exports)})")
            case r.Instantiate():
                args = [f" (with {quoted_name(name)} {self.sort_index(item)})" for name, item in d.args]
                component = self.ref(Sort.COMPONENT, d.component)
                self.lines.add(f"(instance {self.next(Sort.INSTANCE)} (instantiate {component}{''.join(args)}))")
            case r.InstanceFromExports():
                exports = [f" (export {_extern_name(name)} {self.sort_index(item)})" for name, item in d.exports]
                self.lines.add(f"(instance {self.next(Sort.INSTANCE)}{''.join(exports)})")
            case r.AliasExport() | r.AliasCoreExport() | r.AliasOuter():
                self.lines.add(self._alias(d))
            case r.CanonLift():
                options = self._options(d.options)
                core_func = self.ref(Sort.CORE_FUNC, d.func)
                ty = self.ref(Sort.TYPE, d.type)
                self.lines.add(
                    f"(func {self.next(Sort.FUNC)} (type {ty}) (canon lift (core func {core_func}){options}))"
                )
            case r.CanonLower():
                options = self._options(d.options)
                func = self.ref(Sort.FUNC, d.func)
                self.lines.add(f"(core func {self.next(Sort.CORE_FUNC)} (canon lower (func {func}){options}))")
            case r.CanonBuiltin():
                words = "".join([_BUILTIN_IMMEDIATES[word](self, d) for word in _BUILTIN_WORDS[d.name]])
                self.lines.add(f"(core func {self.next(Sort.CORE_FUNC)} (canon {d.name}{words}))")
            case r.Start():
                args = [f" (value {self.ref(Sort.VALUE, i)})" for i in d.args]
                func = self.ref(Sort.FUNC, d.func)
                results = [f" (result (value {self.next(Sort.VALUE)}))" for _ in range(d.results)]
                self.lines.add(f"(start {func}{''.join(args)}{''.join(results)})")
            case r.Import():
                self.lines.add(f"(import {_extern_name(d.name)} {self.extern(d.type)})")
            case r.Export():
                item = self.sort_index(d.item)
                ascribed = f" {self.extern(d.type, bind=False)}" if d.type is not None else ""
                self.lines.add(f"(export {self.next(d.item.sort)} {_extern_name(d.name)} {item}{ascribed})")
            case r.Value():
                data = Cursor(self.data, d.start, d.end)
                text = print_value(data, d.type, self.type_defs)
                ty = self.valtype(d.type)
                self.lines.add(f"(value {self.next(Sort.VALUE)} {ty} {text})")
            case _:
                self._type(d)

    def _core_module(self, d: r.CoreModuleDef) -> None:
        binder = self.next(Sort.CORE_MODULE)
        module = ModulePrinter(self.data, d.start, d.end, self.lines)
        self._nested(f"(core module {binder}", module.print_fields)

    def _component(self, d: r.ComponentDef) -> None:
        binder = self.next(Sort.COMPONENT)
        self._nested(f"(component {binder}", ComponentPrinter(self.data, d, self.lines).print_fields)

    def _nested(self, head: str, body: Callable[[], None]) -> None:
        self.lines.add(head)
        self.lines.depth += 1
        body()
        self.lines.depth -= 1
        self.lines.add(")")

    def _alias(self, d: r.Alias) -> str:
        if isinstance(d, r.AliasOuter):
            return f"(alias outer {d.count} {d.index} ({d.sort.value} {self.next(d.sort)}))"
        kind = Sort.CORE_INSTANCE if isinstance(d, r.AliasCoreExport) else Sort.INSTANCE
        core = "core " if isinstance(d, r.AliasCoreExport) else ""
        instance = self.ref(kind, d.instance)
        return f"(alias {core}export {instance} {quoted_name(d.name)} ({d.sort.value} {self.next(d.sort)}))"

    # --- types ---

    def valtype(self, ty: r.ValTypeRef) -> str:
        return self.ref(Sort.TYPE, ty) if isinstance(ty, int) else str(ty)

    def _type(self, d: r.TypeDef) -> None:
        index = self.counts[Sort.TYPE]
        if isinstance(d, r.ComponentTypeDef | r.InstanceTypeDef):
            word = "component" if isinstance(d, r.ComponentTypeDef) else "instance"
            inner = ComponentPrinter(self.data, r.ComponentDef(d.offset, d.offset), self.lines)
            self._nested(f"(type {self.names[Sort.TYPE].binder(index)} ({word}", lambda: inner._declarations(d.decls))
            self.lines.out[-1] += ")"
            self.counts[Sort.TYPE] += 1
            return
        text = self._type_text(d)
        self.lines.add(f"(type {self.next(Sort.TYPE)} {text})")
        self.type_defs[index] = d

    def _declarations(self, decls: list[r.Declaration]) -> None:
        for decl in decls:
            if isinstance(decl, r.ExportDecl):
                self.lines.add(f"(export {_extern_name(decl.name)} {self.extern(decl.type)})")
            else:
                self._definition(decl)

    def _optional(self, ty: r.ValTypeRef | None) -> str:
        return "" if ty is None else " " + self.valtype(ty)

    def _type_text(self, d: r.TypeDef) -> str:
        match d:
            case r.PrimitiveDef():
                return str(d.type)
            case r.RecordDef():
                fields = [f" (field {quoted_name(name)} {self.valtype(ty)})" for name, ty in d.fields]
                return f"(record{''.join(fields)})"
            case r.VariantDef():
                cases = [f" (case {quoted_name(name)}{self._optional(ty)})" for name, ty in d.cases]
                return f"(variant{''.join(cases)})"
            case r.ListDef():
                return f"(list {self.valtype(d.element)}{'' if d.length is None else f' {d.length}'})"
            case r.MapDef():
                return f"(map {self.valtype(d.key)} {self.valtype(d.value)})"
            case r.TupleDef():
                return f"(tuple{''.join([' ' + self.valtype(ty) for ty in d.elements])})"
            case r.FlagsDef() | r.EnumDef():
                word = "flags" if isinstance(d, r.FlagsDef) else "enum"
                return f"({word}{''.join([' ' + quoted_name(name) for name in d.names])})"
            case r.OptionDef():
                return f"(option {self.valtype(d.payload)})"
            case r.ResultDef():
                error = "" if d.err is None else f" (error {self.valtype(d.err)})"
                return f"(result{self._optional(d.ok)}{error})"
            case r.HandleDef():
                return f"({'own' if d.is_own else 'borrow'} {self.ref(Sort.TYPE, d.resource)})"
            case r.AsyncValueDef():
                return f"({'stream' if d.is_stream else 'future'}{self._optional(d.payload)})"
            case r.FuncTypeDef():
                params = [f" (param {quoted_name(name)} {self.valtype(ty)})" for name, ty in d.params]
                return f"(func{' async' if d.async_ else ''}{''.join(params)}{self._result(d.result)})"
            case r.ResourceDef():
                dtor = "" if d.dtor is None else f" (dtor (core func {self.ref(Sort.CORE_FUNC, d.dtor)}))"
                return f"(resource (rep {core_valtype(d.rep)}){dtor})"
        raise AssertionError(d)

    def _result(self, ty: r.ValTypeRef | None) -> str:
        return "" if ty is None else f" (result {self.valtype(ty)})"

    def extern(self, ty: r.ExternTypeRef, *, bind: bool = True) -> str:
        """`(sort id? type)` of an import, or of the type ascribed to an export."""
        match ty.sort:
            case Sort.TYPE:
                text = "(sub resource)" if ty.index is None else f"(eq {self.ref(Sort.TYPE, ty.index)})"
            case Sort.VALUE:
                text = f"(eq {self.ref(Sort.VALUE, ty.index)})" if ty.value is None else self.valtype(ty.value)  # type: ignore[arg-type]
            case _:
                kind = Sort.CORE_TYPE if ty.sort is Sort.CORE_MODULE else Sort.TYPE
                assert ty.index is not None
                text = f"(type {self.ref(kind, ty.index)})"
        return f"({ty.sort.value} {self.next(ty.sort) + ' ' if bind else ''}{text})"

    # --- core types ---

    def _core_printer(self, at: int) -> ModulePrinter:
        printer = ModulePrinter(self.data, at, len(self.data), self.lines)
        names = Names()
        names.ids = {i: name for i, name in self.names[Sort.CORE_TYPE].ids.items() if i < self.counts[Sort.CORE_TYPE]}
        printer.names["types"] = names
        return printer

    def _core_rec(self, d: r.CoreRecType, binders: Callable[[], str] | None = None, head: str = "core ") -> str:
        binders = binders or (lambda: self.next(Sort.CORE_TYPE))
        printer = self._core_printer(d.offset)
        code = self.data[d.offset]
        if code == 0x4E:
            printer.pos += 1
            count = printer.count("types of a group")
            types = [f" (type {binders()} {printer.sub_type(index)})" for index in range(count)]
            return f"({head}rec{''.join(types)})"
        if code == 0:
            printer.pos += 1
        text = printer.sub_type(0)
        return f"({head}type {binders()} {text})"

    def _core_module_type(self, d: r.CoreModuleType) -> None:
        binder = self.names[Sort.CORE_TYPE].binder(self.counts[Sort.CORE_TYPE])
        inner = ComponentPrinter(self.data, r.ComponentDef(d.offset, d.offset), self.lines)
        self._nested(f"(core type {binder} (module", lambda: inner._module_declarations(d))
        self.lines.out[-1] += ")"
        self.counts[Sort.CORE_TYPE] += 1

    def _module_declarations(self, d: r.CoreModuleType) -> None:
        for decl in d.decls:
            match decl:
                case r.CoreImportDecl():
                    names = f"{quoted_name(decl.module)} {quoted_name(decl.name)}"
                    self.lines.add(f"(import {names} {self._core_extern(decl.type)})")
                case r.CoreExportDecl():
                    self.lines.add(f"(export {quoted_name(decl.name)} {self._core_extern(decl.type)})")
                case r.CoreAliasDecl():
                    self.lines.add(f"(alias outer {decl.count} {decl.index} (type {self.next(Sort.CORE_TYPE)}))")
                case r.CoreRecType():
                    self.lines.add(self._core_rec(decl, head=""))
                case r.CoreModuleType():
                    raise DecodeError("a module type within a module type", offset=decl.offset)

    def _core_extern(self, ty: r.CoreExternRef) -> str:
        if isinstance(ty, r.CoreFuncRef):
            return f"({'tag' if ty.is_tag else 'func'} (type {self.ref(Sort.CORE_TYPE, ty.type)}))"
        if isinstance(ty, GlobalType):
            content = core_valtype(ty.content)
            return f"(global (mut {content}))" if ty.mutable else f"(global {content})"
        sizes = [str(n) for n in (ty.min, ty.max) if n is not None]
        words = ["i64"] * ty.is_64 + sizes + ["shared"] * ty.shared
        if isinstance(ty, TableType):
            return f"(table {' '.join(words)} {core_valtype(ty.element)})"
        page = f" (pagesize {1 << ty.page_size_log2})" if ty.page_size_log2 != 16 else ""
        return f"(memory {' '.join(words)}{page})"

    # --- canonical options ---

    def _options(self, o: r.CanonOptions) -> str:
        out = ""
        if o.string_encoding is not None:
            out += f" string-encoding={o.string_encoding}"
        if o.memory is not None:
            out += f" (memory {self.ref(Sort.CORE_MEMORY, o.memory)})"
        for word, index in (("realloc", o.realloc), ("post-return", o.post_return)):
            if index is not None:
                out += f" ({word} (core func {self.ref(Sort.CORE_FUNC, index)}))"
        if o.async_:
            out += " async"
        if o.callback is not None:
            out += f" (callback (core func {self.ref(Sort.CORE_FUNC, o.callback)}))"
        return out


def _extern_name(name: r.ExternName) -> str:
    out = quoted_name(name.name)
    for word, value in (
        ("implements", name.implements),
        ("versionsuffix", name.version_suffix),
        ("external-id", name.external_id),
    ):
        if value is not None:
            out += f" ({word} {quoted_name(value)})"
    return out


def core_valtype(word: int) -> str:
    return vt.valtype_str(word)


_BUILTIN_IMMEDIATES: dict[str, Callable[[ComponentPrinter, Any], str]] = {
    "type": lambda p, d: f" {p.ref(Sort.TYPE, d.type)}",
    "core_type": lambda p, d: f" {p.ref(Sort.CORE_TYPE, d.core_type)}",
    "core_valtype": lambda p, d: f" {core_valtype(d.core_valtype)}",
    "slot": lambda p, d: f" {d.slot}",
    "table": lambda p, d: f" (core table {p.ref(Sort.CORE_TABLE, d.table)})",
    "memory": lambda p, d: f" (memory {p.ref(Sort.CORE_MEMORY, d.memory)})",
    "options": lambda p, d: p._options(d.options),
    "result": lambda p, d: p._result(d.result),
    "async_": lambda p, d: " async" if d.async_ else "",
    "cancellable": lambda p, d: " cancellable" if d.cancellable else "",
    "shared": lambda p, d: " shared" if d.shared else "",
}
