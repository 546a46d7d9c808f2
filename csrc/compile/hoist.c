/* Loop-invariant integer expressions of innermost loops, computed before the loop.
 *
 * At a loop's header its body is scanned once, over a stack of value numbers: a constant, a local that the loop does not assign, or arithmetic that cannot
 * trap on those. The largest such expressions, as ranges of bytes (sites), become locals of the compiler's own behind the function's (WASM_SPARE_LOCALS of
 * them), which the allocator treats like any other; where the second pass comes to a site it pushes that local and goes on behind it. A local of the
 * function that the loop sets once, in its head before anybody reads it (WasmLocalWeight.killed), to a value that is invariant is set before the loop
 * instead: whoever enters the loop comes by that set, so this is so on every way out as well. Where the loop sets it several times, all in its
 * head, each set but the last ends before anybody leaves: one to an invariant value goes away, and where the local is read up to the next set, stands the value.
 *
 * Values of the compiler's own end with their loop: no label outside wants them (cg_is_dead), and `hoist_end` forgets them.
 * Linear: only innermost loops of up to a kilobyte are scanned, twice at most, and the tables are of fixed size; a value that has no room is computed where it stands.
 * Nearly all loops have nothing of the kind, which hoist_promising tells first. */
#include "compile/state.h"

enum { HOIST_NODES = 96, HOIST_ENTRIES = 24, HOIST_ACTIONS = 24, HOIST_DEPTH = 6, HOIST_HASH = 128, HOIST_UNKNOWN = 0xff, HOIST_MAX_BYTES = 1024, HOIST_TRIES = 12 };

/* What a value number stands for. Number 0: anything else. */
typedef struct HoistNode {
    uint16_t op;     /* WASM_OP_LOCAL_GET, WASM_OP_I32_CONST, WASM_OP_I64_CONST, or an operation on a and b */
    uint16_t uses;   /* sites, weighted */
    uint8_t a, b;    /* b: 0 where there is one operand */
    uint8_t type, depth, cost;
    bool computed;   /* `local` holds it */
    uint8_t next;    /* in its hash chain */
    bool must;       /* a site of it cannot be computed where it stands */
    uint32_t local;  /* of a local.get: which; of others: where it is kept, or UINT32_MAX */
    uint64_t bits;
} HoistNode;

typedef struct HoistEntry {
    uint16_t start, end; /* bytes from the loop's start */
    uint8_t node, cost;  /* cost: operations that a site here saves */
    bool must;
} HoistEntry;
typedef struct HoistAction { uint8_t node; uint32_t local; } HoistAction;

typedef struct HoistScan {
    FuncCompiler *fc;
    const WasmBlockInfo *block;
    const uint8_t *base; /* of the offsets in entries: the loop's first instruction */
    uint32_t num_nodes, num_entries, num_sites, num_actions;
    bool full, head;
    uint8_t slot[64];      /* by local modulo 64: 1 + its index in `weights`, HOIST_UNKNOWN: several */
    uint8_t bound[WASM_LOOP_WEIGHTS];  /* value that the local has here */
    bool moved[WASM_LOOP_WEIGHTS];     /* the local is set before the loop */
    bool split[WASM_LOOP_WEIGHTS];     /* sets that are not the last may go away */
    bool gone[WASM_LOOP_WEIGHTS];      /* the set that the local has its value from did */
    uint8_t seen[WASM_LOOP_WEIGHTS];   /* sets so far */
    uint8_t num_gone[WASM_LOOP_WEIGHTS];
    uint8_t hash[HOIST_HASH];
    WasmLocalWeight weights[WASM_LOOP_WEIGHTS];
    HoistNode nodes[HOIST_NODES];
    HoistEntry entries[HOIST_ENTRIES];
    HoistSite sites[HOIST_SITES];
    uint8_t site_node[HOIST_SITES];
    HoistAction actions[HOIST_ACTIONS];
} HoistScan;

/* ---- value numbers ------------------------------------------------------------------------------------------------------------- */

static uint8_t hoist_number(HoistScan *h, WasmOp op, uint8_t type, uint8_t a, uint8_t b, uint64_t bits)
{
    uint32_t depth = 0, cost = op == WASM_OP_I32_MUL || op == WASM_OP_I64_MUL ? 2 : op >= WASM_OP_I32_EQZ ? 1 : 0;
    uint32_t key = ((uint32_t)op * 31 + a * 7u + b * 113u + (uint32_t)bits * 5 + (uint32_t)(bits >> 32)) % HOIST_HASH;
    for (uint32_t i = h->hash[key]; i; i = h->nodes[i].next) {
        const HoistNode *n = &h->nodes[i];
        if (n->op == op && n->a == a && n->b == b && n->bits == bits) return (uint8_t)i;
    }
    if (a) {
        depth = h->nodes[a].depth + 1u;
        if (b && h->nodes[b].depth + 1u > depth) depth = h->nodes[b].depth + 1u;
    }
    if (h->num_nodes == HOIST_NODES || depth > HOIST_DEPTH) return 0;
    h->nodes[h->num_nodes] = (HoistNode){.op = (uint16_t)op, .a = a, .b = b, .type = type, .depth = (uint8_t)depth, .cost = (uint8_t)cost,
                                         .local = op == WASM_OP_LOCAL_GET ? (uint32_t)bits : UINT32_MAX, .bits = bits, .next = h->hash[key]};
    h->hash[key] = (uint8_t)h->num_nodes;
    return (uint8_t)h->num_nodes++;
}

/* Operations that are computed ahead: they neither trap nor read anything but their operands. The type of the result, or 0. */
static uint8_t hoist_pure(WasmOp op)
{
    switch (op) {
    case WASM_OP_I32_ADD: case WASM_OP_I32_SUB: case WASM_OP_I32_MUL: case WASM_OP_I32_AND: case WASM_OP_I32_OR: case WASM_OP_I32_XOR:
    case WASM_OP_I32_SHL: case WASM_OP_I32_SHR_S: case WASM_OP_I32_SHR_U: case WASM_OP_I32_WRAP_I64: case WASM_OP_I32_EXTEND8_S:
    case WASM_OP_I32_EXTEND16_S:
        return WR_KIND_I32;
    case WASM_OP_I64_ADD: case WASM_OP_I64_SUB: case WASM_OP_I64_MUL: case WASM_OP_I64_AND: case WASM_OP_I64_OR: case WASM_OP_I64_XOR:
    case WASM_OP_I64_SHL: case WASM_OP_I64_SHR_S: case WASM_OP_I64_SHR_U: case WASM_OP_I64_EXTEND_I32_S: case WASM_OP_I64_EXTEND_I32_U:
    case WASM_OP_I64_EXTEND8_S: case WASM_OP_I64_EXTEND16_S: case WASM_OP_I64_EXTEND32_S:
        return WR_KIND_I64;
    default: return 0;
    }
}

/* The index in `weights` of a local of the loop; WASM_LOOP_WEIGHTS: not known. */
static uint32_t hoist_index(const HoistScan *h, uint32_t local)
{
    uint32_t slot = h->slot[local & 63u];
    return slot != 0 && slot != HOIST_UNKNOWN && h->weights[slot - 1].local == local ? slot - 1 : WASM_LOOP_WEIGHTS;
}

/* ---- the scan's stack ------------------------------------------------------------------------------------------------------------- */

static void hoist_push(HoistScan *h, uint8_t node, uint32_t start, uint32_t end, uint32_t cost, bool must)
{
    if (h->num_entries == HOIST_ENTRIES) { /* the deepest is forgotten */
        h->full |= h->entries[0].must;
        memmove(h->entries, h->entries + 1, (HOIST_ENTRIES - 1) * sizeof *h->entries);
        h->num_entries--;
    }
    h->entries[h->num_entries++] = (HoistEntry){(uint16_t)start, (uint16_t)end, node, (uint8_t)(cost > 200 ? 200 : cost), must};
}

static HoistEntry hoist_pop(HoistScan *h) { return h->num_entries ? h->entries[--h->num_entries] : (HoistEntry){0}; }

static void hoist_site(HoistScan *h, HoistSiteKind kind, HoistEntry e, uint32_t end, uint32_t local)
{
    if (h->num_sites == HOIST_SITES) {
        h->full = true;
        return;
    }
    h->sites[h->num_sites] = (HoistSite){.start = h->base + e.start, .end = h->base + end, .kind = (uint8_t)kind, .local = local};
    h->site_node[h->num_sites++] = e.node;
}

/* The value goes to something that is not invariant. */
static void hoist_use(HoistScan *h, HoistEntry e, uint32_t weight)
{
    if (!e.node || (!e.cost && !e.must)) return;
    HoistNode *n = &h->nodes[e.node];
    n->must |= e.must;
    if (n->cost < e.cost) n->cost = e.cost;
    n->uses = (uint16_t)(n->uses + weight);
    hoist_site(h, HOIST_SITE_VALUE, e, e.end, UINT32_MAX);
}

static void hoist_flush(HoistScan *h, uint32_t weight)
{
    for (uint32_t i = 0; i < h->num_entries; i++) hoist_use(h, h->entries[i], weight);
    h->num_entries = 0;
}

static void hoist_unbind(HoistScan *h)
{
    for (uint32_t i = 0; i < h->block->num_weights; i++)
        if (!h->moved[i] && !h->gone[i]) h->bound[i] = 0;
}

static void hoist_get(HoistScan *h, uint32_t local, uint32_t start, uint32_t end)
{
    FuncCompiler *fc = h->fc;
    uint8_t node = 0;
    bool must = false;
    if (!(h->block->assigned >> (local & 63u) & 1)) {
        node = hoist_number(h, WASM_OP_LOCAL_GET, fc->local_type[local], 0, 0, local);
    } else {
        uint32_t i = hoist_index(h, local);
        if (i < WASM_LOOP_WEIGHTS) {
            node = h->weights[i].sets ? h->bound[i] : hoist_number(h, WASM_OP_LOCAL_GET, fc->local_type[local], 0, 0, local);
            must = h->gone[i];
        }
    }
    hoist_push(h, node, start, end, 0, must);
}

/* In the loop; 7: that or more. */
static uint32_t hoist_sets(const HoistScan *h, uint32_t i) { return (uint32_t)__builtin_popcount(h->weights[i].sets & WASM_SETS); }

static void hoist_set(HoistScan *h, uint32_t local, uint32_t at, uint32_t end, bool is_tee, uint32_t weight)
{
    HoistEntry e = hoist_pop(h);
    uint32_t i = hoist_index(h, local);
    bool integer = !cg_is_float(h->fc->local_type[local]) && h->fc->local_type[local] != WR_KIND_REF;
    if (i < WASM_LOOP_WEIGHTS) {
        uint32_t sets = hoist_sets(h, i);
        bool last = ++h->seen[i] == sets, movable = e.node && integer && e.end == at && h->weights[i].killed && h->head;
        h->gone[i] = false;
        if (movable && (last ? h->num_gone[i] + 1u == sets : h->split[i])) {
            if (h->num_actions == HOIST_ACTIONS) h->full = true;
            h->bound[i] = e.node;
            if (last) {
                h->moved[i] = true;
                if (!h->full) h->actions[h->num_actions++] = (HoistAction){e.node, local};
                hoist_site(h, is_tee ? HOIST_SITE_TEE : HOIST_SITE_SET, e, end, local);
            } else {
                h->gone[i] = true;
                h->num_gone[i]++;
                if (!is_tee) hoist_site(h, HOIST_SITE_SET, e, end, local);
            }
            if (is_tee) hoist_push(h, e.node, e.start, end, last ? 0 : e.cost, !last);
            return;
        }
    }
    hoist_use(h, e, weight);
    if (i < WASM_LOOP_WEIGHTS) h->bound[i] = integer ? e.node : 0;
    if (is_tee) hoist_push(h, 0, at, end, 0, false);
}

static void hoist_operation(HoistScan *h, WasmOp op, uint8_t type, uint32_t count, uint32_t at, uint32_t weight)
{
    HoistEntry b = count == 2 ? hoist_pop(h) : (HoistEntry){0}, a = hoist_pop(h);
    uint32_t last = count == 2 ? b.end : a.end;
    if (a.node && last == at && (count == 1 || (b.node && a.end == b.start))) {
        uint8_t node = hoist_number(h, op, type, a.node, b.node, 0);
        if (node) {
            hoist_push(h, node, a.start, at + 1, a.cost + b.cost + (op == WASM_OP_I32_MUL || op == WASM_OP_I64_MUL ? 2u : 1u), a.must || b.must);
            return;
        }
    }
    hoist_use(h, a, weight);
    hoist_use(h, b, weight);
    hoist_push(h, 0, at, at, 0, false);
}

/* ---- the scan ------------------------------------------------------------------------------------------------------------------------ */

enum { HOIST_ALWAYS = 4, HOIST_SOMETIMES = 1 }; /* weights of sites: outside and inside of an if */

/* Other instructions: what they pop is used, what they push is unknown. */
static void hoist_other(HoistScan *h, WasmOp op, const uint8_t **p, uint32_t weight)
{
    const WasmOpInfo *info = &wr_wasm_ops[op];
    uint32_t at = (uint32_t)(*p - h->base), pops = info->num_params, pushes = info->num_results;
    wr_skip_imm(p, op);
    if (op == WASM_OP_DROP) pops = 1;
    else if (op == WASM_OP_SELECT) pops = 3, pushes = 1;
    else if (op == WASM_OP_GLOBAL_GET) pushes = 1;
    else if (op == WASM_OP_GLOBAL_SET) pops = 1;
    else if (info->special) {
        h->head = false; /* it may leave */
        hoist_flush(h, weight);
        return;
    }
    HoistEntry popped[4];
    for (uint32_t i = 0; i < pops; i++) popped[i] = hoist_pop(h);
    for (uint32_t i = pops; i-- > 0;) hoist_use(h, popped[i], weight);
    for (uint32_t i = 0; i < pushes; i++) hoist_push(h, 0, at, at, 0, false);
}

/* False: nothing is to be done here. */
static bool hoist_scan(HoistScan *h)
{
#define OFFSET(p) ((uint32_t)((p) - h->base))
    const uint8_t *p = h->base;
    uint32_t depth = 0, cold = UINT32_MAX, weight = HOIST_ALWAYS; /* cold: depth of the outermost open if */
    for (;;) {
        if (h->full) return false;
        uint32_t at = OFFSET(p);
        WasmOp op = wr_read_op(&p);
        switch (op) {
        case WASM_OP_LOCAL_GET: {
            uint32_t local = wr_leb_u32(&p);
            hoist_get(h, local, at, OFFSET(p));
            break;
        }
        case WASM_OP_LOCAL_SET:
        case WASM_OP_LOCAL_TEE: {
            uint32_t local = wr_leb_u32(&p);
            hoist_set(h, local, at, OFFSET(p), op == WASM_OP_LOCAL_TEE, weight);
            break;
        }
        case WASM_OP_I32_CONST: {
            uint64_t bits = (uint32_t)wr_leb_s32(&p);
            hoist_push(h, hoist_number(h, op, WR_KIND_I32, 0, 0, bits), at, OFFSET(p), 0, false);
            break;
        }
        case WASM_OP_I64_CONST: {
            uint64_t bits = (uint64_t)wr_leb_s64(&p);
            hoist_push(h, hoist_number(h, op, WR_KIND_I64, 0, 0, bits), at, OFFSET(p), 0, false);
            break;
        }
        case WASM_OP_NOP: break;
        case WASM_OP_IF:
        case WASM_OP_BLOCK:
        case WASM_OP_LOOP:
        case WASM_OP_TRY_TABLE:
            hoist_flush(h, weight);
            wr_skip_imm(&p, op);
            depth++;
            if (op == WASM_OP_BLOCK) break;
            h->head = false;
            hoist_unbind(h);
            if (cold == UINT32_MAX) {
                cold = depth;
                weight = HOIST_SOMETIMES;
            }
            break;
        case WASM_OP_END:
            hoist_flush(h, weight);
            hoist_unbind(h);
            if (depth-- == 0) return h->num_sites != 0;
            if (cold != UINT32_MAX && depth < cold) {
                cold = UINT32_MAX;
                weight = HOIST_ALWAYS;
            }
            break;
        case WASM_OP_ELSE: case WASM_OP_BR: case WASM_OP_BR_IF: case WASM_OP_BR_TABLE: case WASM_OP_RETURN: case WASM_OP_UNREACHABLE:
            h->head = false;
            hoist_flush(h, weight);
            hoist_unbind(h);
            wr_skip_imm(&p, op);
            break;
        default: {
            uint8_t type = hoist_pure(op);
            if (type) hoist_operation(h, op, type, wr_wasm_ops[op].num_params, at, weight);
            else hoist_other(h, op, &p, weight);
            break;
        }
        }
    }
#undef OFFSET
}

/* ---- the choice ----------------------------------------------------------------------------------------------------------------------- */

/* The locals that a site mentions are used less often in the loop. */
static void hoist_discount(HoistScan *h, const HoistSite *site)
{
    for (const uint8_t *p = site->start; p < site->end;) {
        WasmOp op = wr_read_op(&p);
        if (op != WASM_OP_LOCAL_GET && op != WASM_OP_LOCAL_SET && op != WASM_OP_LOCAL_TEE) {
            wr_skip_imm(&p, op);
            continue;
        }
        uint32_t i = hoist_index(h, wr_leb_u32(&p));
        if (i < WASM_LOOP_WEIGHTS && h->weights[i].weight) h->weights[i].weight--;
    }
}

/* Integer registers that the loop would like to have. */
static uint32_t hoist_demand(const HoistScan *h)
{
    uint32_t count = h->fc->num_hoisted;
    for (uint32_t i = 0; i < h->block->num_weights; i++) count += h->weights[i].weight != 0 && !cg_is_float(h->fc->local_type[h->weights[i].local]);
    return count;
}

static bool hoist_give(HoistScan *h, uint32_t node)
{
    FuncCompiler *fc = h->fc;
    if (fc->num_hoisted == WASM_SPARE_LOCALS || h->num_actions == HOIST_ACTIONS) return false;
    uint32_t local = fc->num_locals + fc->num_hoisted++;
    fc->local_type[local] = h->nodes[node].type;
    h->nodes[node].local = local;
    h->actions[h->num_actions++] = (HoistAction){(uint8_t)node, local};
    for (uint32_t i = 0; i < h->num_sites; i++)
        if (h->site_node[i] == node && h->sites[i].kind == HOIST_SITE_VALUE) hoist_discount(h, &h->sites[i]);
    return true;
}

/* A local of its own for each value that must have one; false: there are not enough. */
static bool hoist_musts(HoistScan *h)
{
    for (uint32_t i = 1; i < h->num_nodes; i++) {
        const HoistNode *n = &h->nodes[i];
        if (n->must && n->local == UINT32_MAX && !hoist_give(h, i)) return false;
    }
    return true;
}

/* The most useful node of at least `cost` that has no place yet; 0: none. */
static uint32_t hoist_best(const HoistScan *h, uint32_t cost)
{
    uint32_t best = 0, best_value = 0;
    for (uint32_t i = 1; i < h->num_nodes; i++) {
        const HoistNode *n = &h->nodes[i];
        uint32_t value = (uint32_t)n->uses * n->cost;
        if (n->op == WASM_OP_LOCAL_GET || n->local != UINT32_MAX || n->uses < HOIST_ALWAYS || n->cost < cost || value <= best_value) continue;
        best = i;
        best_value = value;
    }
    return best;
}

/* Several operations are worth a load from the frame, one is worth a register only: it is taken as long as there are any, or if what it reads gives one up. */
static void hoist_choose(HoistScan *h)
{
    WasmLocalWeight before[WASM_LOOP_WEIGHTS];
    uint32_t node;
    while ((node = hoist_best(h, 2)) != 0)
        if (!hoist_give(h, node)) return;
    for (uint32_t tries = 0; tries < HOIST_TRIES && (node = hoist_best(h, 1)) != 0; tries++) {
        uint32_t demand = hoist_demand(h);
        memcpy(before, h->weights, h->block->num_weights * sizeof *before);
        if (!hoist_give(h, node)) return;
        uint32_t after = hoist_demand(h);
        if (after <= CG_LOOP_GPRS || after <= demand) continue;
        memcpy(h->weights, before, h->block->num_weights * sizeof *before);
        h->nodes[node].local = UINT32_MAX;
        h->nodes[node].uses = 0;
        h->num_actions--;
        h->fc->num_hoisted--;
    }
}

/* Sites whose values have a place, the largest ones, in the order of the bytes. */
static void hoist_activate(HoistScan *h)
{
    FuncCompiler *fc = h->fc;
    uint32_t count = 0;
    for (uint32_t i = 0; i < h->num_sites; i++) {
        HoistSite site = h->sites[i];
        if (site.kind == HOIST_SITE_VALUE) site.local = h->nodes[h->site_node[i]].local;
        if (site.local == UINT32_MAX) continue;
        uint32_t at = count++;
        for (; at > 0 && (fc->sites[at - 1].start > site.start || (fc->sites[at - 1].start == site.start && fc->sites[at - 1].end < site.end)); at--)
            fc->sites[at] = fc->sites[at - 1];
        fc->sites[at] = site;
    }
    fc->num_sites = count;
    fc->next_site = 0;
    fc->site_at = count ? fc->sites[0].start : CG_NO_SITE;
}

/* ---- before the loop -------------------------------------------------------------------------------------------------------------------- */

static const uint8_t hoist_nops[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}; /* nothing to look ahead at */

static void hoist_compute(HoistScan *h, uint8_t node)
{
    FuncCompiler *fc = h->fc;
    const HoistNode *n = &h->nodes[node];
    if (n->op == WASM_OP_I32_CONST || n->op == WASM_OP_I64_CONST) {
        cg_push_const(fc, n->type, n->bits);
        return;
    }
    if (n->op == WASM_OP_LOCAL_GET || n->computed) {
        if (cg_is_virgin(fc, n->local)) cg_push_const(fc, n->type, 0);
        else cg_push_local(fc, n->local);
        return;
    }
    hoist_compute(h, n->a);
    if (n->b) hoist_compute(h, n->b);
    fc->lock = 0;
    fc->ip = hoist_nops;
    cg_op(fc, (WasmOp)n->op);
}

/* Nodes come after their operands, so in the order of their numbers each finds those that have a place computed. */
static void hoist_emit(HoistScan *h)
{
    FuncCompiler *fc = h->fc;
    const uint8_t *ip = fc->ip;
    for (uint32_t i = 1; i < h->num_actions; i++) {
        HoistAction action = h->actions[i];
        uint32_t at = i;
        for (; at > 0 && h->actions[at - 1].node > action.node; at--) h->actions[at] = h->actions[at - 1];
        h->actions[at] = action;
    }
    for (uint32_t i = 0; i < h->num_actions; i++) {
        HoistNode *n = &h->nodes[h->actions[i].node];
        fc->lock = 0;
        hoist_compute(h, h->actions[i].node);
        fc->lock = 0;
        cg_local_set(fc, h->actions[i].local, cg_pop(fc));
        if (n->op == WASM_OP_LOCAL_GET || n->computed) continue;
        n->local = h->actions[i].local;
        n->computed = true;
    }
    fc->lock = 0;
    fc->ip = ip;
}

/* Whether the scan can find anything: somewhere right behind constants and locals that keep their value stands an operation on them, or a set. Nearly all
 * loops have nothing of the kind, and this is told at a quarter of the price. */
static bool hoist_promising(const HoistScan *h, const uint8_t *end)
{
    uint32_t leaves = 0;
    for (const uint8_t *p = h->base; p < end;) {
        WasmOp op = wr_read_op(&p);
        if (op == WASM_OP_LOCAL_GET) {
            uint32_t local = wr_leb_u32(&p), i = h->block->assigned >> (local & 63u) & 1 ? hoist_index(h, local) : WASM_LOOP_WEIGHTS;
            bool keeps = !(h->block->assigned >> (local & 63u) & 1) || (i < WASM_LOOP_WEIGHTS && h->weights[i].sets == 0);
            leaves = keeps ? leaves + 1 : 0;
        } else if (op == WASM_OP_I32_CONST || op == WASM_OP_I64_CONST) {
            (void)wr_leb_s64(&p);
            leaves++;
        } else if (op != WASM_OP_NOP) {
            if (leaves != 0) {
                if (op == WASM_OP_LOCAL_SET || op == WASM_OP_LOCAL_TEE) return true;
                if (leaves >= wr_wasm_ops[op].num_params && hoist_pure(op)) return true;
            }
            if (wr_wasm_ops[op].imm != WASM_IMM_NONE) wr_skip_imm(&p, op);
            leaves = 0;
        }
    }
    return false;
}

static bool hoist_begin(HoistScan *h, bool split)
{
    h->num_nodes = 1;
    h->num_entries = h->num_sites = h->num_actions = 0;
    h->full = false;
    h->head = true;
    h->fc->num_hoisted = 0;
    memset(h->hash, 0, sizeof h->hash);
    for (uint32_t i = 0; i < h->block->num_weights; i++) {
        uint32_t sets = hoist_sets(h, i);
        h->split[i] = split && h->weights[i].killed && !(h->weights[i].sets & WASM_SETS_LATE) && sets > 1 && sets < 7;
        h->bound[i] = h->seen[i] = h->num_gone[i] = 0;
        h->moved[i] = h->gone[i] = false;
    }
    return hoist_scan(h);
}

/* What is computed before the loop, and what has which place; false: nothing. */
static bool hoist_find(HoistScan *h, bool split)
{
    if (!hoist_begin(h, split)) return false;
    for (uint32_t i = 0; i < h->num_actions; i++) { /* the first that holds a value is where others find it */
        HoistNode *n = &h->nodes[h->actions[i].node];
        if (n->op != WASM_OP_LOCAL_GET && n->local == UINT32_MAX) n->local = h->actions[i].local;
    }
    for (uint32_t i = 0; i < h->num_sites; i++)
        if (h->sites[i].kind != HOIST_SITE_VALUE) hoist_discount(h, &h->sites[i]);
    if (!hoist_musts(h)) return false;
    hoist_choose(h);
    return h->num_actions != 0;
}

uint32_t cg_hoist(FuncCompiler *fc, const WasmBlockInfo *block, WasmLocalWeight *weights)
{
    const WasmLocalWeight *known = fc->info->weights + block->first_weight;
    bool possible = !block->has_loop && !block->call_weight && !fc->mc->careful && !fc->catches;
    possible = possible && block->end - (uint32_t)(fc->ip - fc->bytes) <= HOIST_MAX_BYTES;
    bool invariant = false; /* some local is */
    for (uint32_t i = 0; possible && !invariant && i < block->num_weights; i++) invariant = known[i].sets == 0;
    if (!invariant) {
        if (block->num_weights) memcpy(weights, known, block->num_weights * sizeof *weights);
        return block->num_weights;
    }
    HoistScan h; /* most of it is written before it is read */
    h.fc = fc;
    h.block = block;
    h.base = fc->ip;
    memset(h.slot, 0, sizeof h.slot);
    for (uint32_t i = 0; i < block->num_weights; i++) {
        h.weights[i] = known[i];
        uint8_t *slot = &h.slot[known[i].local & 63u];
        *slot = *slot ? HOIST_UNKNOWN : (uint8_t)(i + 1);
    }
    uint32_t count = block->num_weights;
    h.num_sites = 0;
    bool found = hoist_promising(&h, fc->bytes + block->end) && hoist_find(&h, true);
    if (!found && h.num_sites) { /* too many values that must have a place */
        memcpy(h.weights, known, count * sizeof *known);
        found = hoist_find(&h, false);
    }
    if (!found) {
        fc->num_hoisted = 0;
        memcpy(weights, known, count * sizeof *known);
        return count;
    }
    fc->hoist_loop = fc->depth - 1;
    hoist_emit(&h);
    hoist_activate(&h);
    for (uint32_t i = 0; i < count; i++) h.weights[i].killed &= !h.moved[i];
    /* the weights of both kinds, heaviest first */
    count = 0;
    for (uint32_t i = 0; i < block->num_weights + fc->num_hoisted; i++) {
        WasmLocalWeight item;
        if (i < block->num_weights) {
            item = h.weights[i];
        } else {
            item = (WasmLocalWeight){.local = fc->num_locals + i - block->num_weights};
            for (uint32_t s = 0; s < fc->num_sites; s++) item.weight += fc->sites[s].local == item.local;
        }
        if (!item.weight) continue;
        uint32_t at = count < CG_LOOP_LOCALS ? count++ : CG_LOOP_LOCALS;
        for (; at > 0 && weights[at - 1].weight < item.weight; at--)
            if (at < CG_LOOP_LOCALS) weights[at] = weights[at - 1];
        if (at < CG_LOOP_LOCALS) weights[at] = item;
    }
    return count;
}

void cg_hoist_site(FuncCompiler *fc)
{
    while (fc->next_site < fc->num_sites && fc->sites[fc->next_site].start < fc->ip) fc->next_site++; /* inside another one, or not reached */
    if (fc->next_site < fc->num_sites && fc->sites[fc->next_site].start == fc->ip) {
        const HoistSite *site = &fc->sites[fc->next_site++];
        fc->ip = site->end;
        if (site->kind != HOIST_SITE_SET) {
            if (cg_is_virgin(fc, site->local)) cg_push_const(fc, fc->local_type[site->local], 0);
            else cg_push_local(fc, site->local);
        }
    }
    fc->site_at = fc->next_site < fc->num_sites ? fc->sites[fc->next_site].start : CG_NO_SITE;
}

void cg_hoist_end(FuncCompiler *fc)
{
    if (fc->hoist_loop != fc->depth - 1) return;
    for (uint32_t local = fc->num_locals; local < fc->num_locals + fc->num_hoisted; local++) {
        if (!fc->dead && fc->local_aliases[local]) cg_unalias(fc, local);
        if (fc->local_reg[local] != REG_NONE) cg_forget_local(fc, local);
    }
    fc->hoist_loop = UINT32_MAX;
    fc->num_hoisted = fc->num_sites = 0;
    fc->site_at = CG_NO_SITE;
}
