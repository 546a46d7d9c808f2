/* The world `shapes` in C without a library, by the canonical ABI as its specification has it: what binding generators for C write, by hand. */

#define EXPORT(name) __attribute__((export_name("demo:shapes/drawing@1.0.0#" name)))
#define OWN(name) __attribute__((import_module("[export]demo:shapes/drawing@1.0.0"), import_name("[resource-" name "]canvas")))

typedef __SIZE_TYPE__ size_t;
typedef struct { int x, y; } Point;
typedef struct { const char *at; size_t length; } Text;
typedef struct { unsigned width, height, shapes, bold; long long doubled_area; } Canvas;

__attribute__((import_module("$root"), import_name("log"))) void import_log(const char *at, size_t length);
OWN("new") int canvas_new(Canvas *rep);
OWN("drop") void canvas_drop(int handle);
OWN("rep") Canvas *canvas_rep(int handle);

/* Memory: a bump allocator that grows; nothing is given back but the last block, which is enough here. */
extern unsigned char __heap_base;
static size_t heap_next;
static unsigned canvases, given_back;

void *memcpy(void *dst, const void *src, size_t length)
{
    for (size_t i = 0; i < length; i++) ((char *)dst)[i] = ((const char *)src)[i];
    return dst;
}

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size)
{
    if (heap_next == 0) heap_next = (size_t)&__heap_base;
    size_t at = (heap_next + align - 1) & ~(align - 1);
    while (at + size > __builtin_wasm_memory_size(0) * 65536) {
        if (__builtin_wasm_memory_grow(0, (size >> 16) + 1) == (size_t)-1) __builtin_trap();
    }
    heap_next = at + size;
    return old_size ? memcpy((void *)at, old, old_size < size ? old_size : size) : (void *)at;
}

static char *put_text(char *at, const char *text)
{
    while (*text) *at++ = *text++;
    return at;
}

static char *put_number(char *at, unsigned long long number)
{
    char digits[20];
    int count = 0;
    do digits[count++] = (char)('0' + number % 10); while (number /= 10);
    while (count) *at++ = digits[--count];
    return at;
}

EXPORT("[constructor]canvas") int new_canvas(unsigned width, unsigned height)
{
    Canvas *canvas = cabi_realloc(0, 0, 8, sizeof(Canvas));
    *canvas = (Canvas){.width = width, .height = height};
    canvases++;
    return canvas_new(canvas);
}

EXPORT("[dtor]canvas") void destroy(Canvas *canvas)
{
    (void)canvas;
    canvases--;
}

/* result<u32, string>: the discriminant at 0, the payload at 4 */
typedef struct { unsigned char is_err; union { unsigned number; Text text; }; } AddResult;
static AddResult add_result;

static AddResult *refuse(const char *text, size_t length)
{
    add_result.is_err = 1;
    add_result.text = (Text){text, length};
    return &add_result;
}

EXPORT("[method]canvas.add") AddResult *add(Canvas *canvas, int shape, size_t first, size_t second, int style)
{
    if (shape == 0 && (2 * first > canvas->width || 2 * first > canvas->height)) return refuse("the circle is too large", 23);
    if (shape == 1) {
        const Point *points = (const Point *)first;
        if (second < 3) return refuse("a polygon has three points", 26);
        for (size_t i = 0; i < second; i++) {
            Point a = points[i], b = points[(i + 1) % second];
            canvas->doubled_area += (long long)a.x * b.y - (long long)b.x * a.y;
        }
    }
    if (shape == 2) import_log((const char *)first, second);
    canvas->bold += style & 1;
    add_result.is_err = 0;
    add_result.number = canvas->shapes++;
    return &add_result;
}

EXPORT("[method]canvas.doubled-area") long long doubled_area(Canvas *canvas)
{
    return canvas->doubled_area;
}

EXPORT("[method]canvas.describe") Text *describe(Canvas *canvas)
{
    static Text text;
    char *start = cabi_realloc(0, 0, 1, 120), *at = put_number(start, canvas->width);
    at = put_number(put_text(at, "x"), canvas->height);
    at = put_number(put_text(at, ", "), canvas->shapes);
    at = put_number(put_text(at, " shapes, "), canvas->bold);
    at = put_text(at, " bold \xe2\x9c\x93");
    text = (Text){start, (size_t)(at - start)};
    return &text;
}

__attribute__((export_name("cabi_post_demo:shapes/drawing@1.0.0#[method]canvas.describe"))) void describe_done(Text *text)
{
    heap_next = (size_t)text->at;
    given_back++;
}

EXPORT("[static]canvas.merge") int merge(int own, Canvas *other)
{
    Canvas *canvas = canvas_rep(own);
    Canvas *both = cabi_realloc(0, 0, 8, sizeof(Canvas));
    *both = *canvas;
    both->shapes += other->shapes;
    both->bold += other->bold;
    both->doubled_area += other->doubled_area;
    canvases++;
    canvas_drop(own);
    return canvas_new(both);
}

EXPORT("counts") unsigned *counts(void)
{
    static unsigned pair[2];
    pair[0] = canvases;
    pair[1] = given_back;
    return pair;
}
