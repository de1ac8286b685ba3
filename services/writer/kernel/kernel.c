/* The writer's inner loop: lines of a file out of many messages at a time. Python does the same without this file.

   An exchange spells all messages of a stream in the same way: same keys, same order, no spaces. So a message is told
   by comparing: fixed text, a value, fixed text, a value, …, the tail. Python learns such a template from a message
   that it has decoded (services/writer/rows/spelling.py). What a template does not fit, exactly and to its last
   byte, is left to Python: here is no message ever refused.

   Nothing here reads beyond the bytes of a message: each scanner gets the end, and looks at a byte only before it. */

#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>
#include <string.h>

#define INTERFACE 1
#define MOST_VALUES 40
#define LONGEST_WHOLE 18 /* digits, so that each fits into 64 bits */
#define LONGEST_NUMBER 40
#define LONGEST_WORD 64
#define DIGITS_OF_64_BITS 20
#define MOST_KEPT (256 * 1024) /* of the room for a line, between two calls */

enum kind { WHOLE, NUMBER, FLAG, WORD, LEVELS, KINDS };

typedef struct {
    const char *begin;
    const char *end;
} Span;

typedef struct {
    const char *text; /* stands before the value; in `texts` of the template */
    Py_ssize_t size;
    int kind;
} Step;

typedef struct {
    int value; /* the number of a value, or -1: a cell that is always the same */
    const char *text;
    Py_ssize_t size;
} Cell;

typedef struct {
    PyObject_HEAD
    Py_ssize_t step_count, cell_count, tail_size, extra_size;
    Py_ssize_t constant_size; /* of all that is the same in each line */
    int day;
    const char *tail, *extra;
    char *texts;
    char *line; /* the line that is being made */
    Py_ssize_t line_room;
    Cell cells[MOST_VALUES];
    Step steps[MOST_VALUES];
} Template;

/* ---- scanners: each returns where its value ends, or NULL ---- */

static inline int
is_digit(char byte)
{
    return (unsigned char)(byte - '0') < 10;
}

static inline const char *
scan_digits(const char *at, const char *end)
{
    if (at == end || !is_digit(*at))
        return NULL;
    if (*at == '0')
        return at + 1;
    while (at < end && is_digit(*at))
        at++;
    return at;
}

static const char *
scan_whole(const char *at, const char *end)
{
    const char *stop = scan_digits(at, end);
    return stop != NULL && stop - at <= LONGEST_WHOLE ? stop : NULL;
}

/* A number without a sign and an exponent. */
static inline const char *
scan_amount(const char *begin, const char *end)
{
    const char *at = scan_digits(begin, end);
    if (at == NULL)
        return NULL;
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        while (at < end && is_digit(*at))
            at++;
        if (at == fraction)
            return NULL;
    }
    return at - begin <= LONGEST_NUMBER ? at : NULL;
}

static const char *
scan_number(const char *at, const char *end)
{
    if (at < end && *at == '-')
        at++;
    return scan_amount(at, end);
}

static const char *
scan_flag(const char *at, const char *end)
{
    if (end - at >= 4 && memcmp(at, "true", 4) == 0)
        return at + 4;
    if (end - at >= 5 && memcmp(at, "false", 5) == 0)
        return at + 5;
    return NULL;
}

/* What no CSV cell has to quote, and no spreadsheet takes for a formula. */
static const char *
scan_word(const char *begin, const char *end)
{
    const char *at = begin;
    while (at < end && (is_digit(*at) || (unsigned char)((*at | 0x20) - 'a') < 26 || (*at == '_' && at > begin)))
        at++;
    return at > begin && at - begin <= LONGEST_WORD ? at : NULL;
}

/* [["1.20","3"],["1.10","0"]], or []. */
static const char *
scan_levels(const char *at, const char *end)
{
    if (end - at < 2 || *at != '[')
        return NULL;
    at++;
    if (*at == ']')
        return at + 1;
    for (;;) {
        if (end - at < 2 || at[0] != '[' || at[1] != '"')
            return NULL;
        at = scan_amount(at + 2, end);
        if (at == NULL || end - at < 3 || at[0] != '"' || at[1] != ',' || at[2] != '"')
            return NULL;
        at = scan_amount(at + 3, end);
        if (at == NULL || end - at < 3 || at[0] != '"' || at[1] != ']')
            return NULL;
        if (at[2] == ']')
            return at + 3;
        if (at[2] != ',')
            return NULL;
        at += 3;
    }
}

static const char *
scan(int kind, const char *at, const char *end)
{
    switch (kind) {
    case WHOLE: return scan_whole(at, end);
    case NUMBER: return scan_number(at, end);
    case FLAG: return scan_flag(at, end);
    case WORD: return scan_word(at, end);
    case LEVELS: return scan_levels(at, end);
    default: return NULL;
    }
}

static int
match_bytes(const Template *self, const char *at, Py_ssize_t size, Span *spans)
{
    Py_ssize_t number;
    const char *end = at + size;
    for (number = 0; number < self->step_count; number++) {
        const Step *step = &self->steps[number];
        if (end - at < step->size || memcmp(at, step->text, step->size) != 0)
            return 0;
        at += step->size;
        spans[number].begin = at;
        at = scan(step->kind, at, end);
        if (at == NULL)
            return 0;
        spans[number].end = at;
    }
    return end - at == self->tail_size && memcmp(at, self->tail, self->tail_size) == 0;
}

/* Where the values of a message lie; 0 where it is spelt otherwise. */
static int
match(const Template *self, PyObject *event, Span *spans)
{
    if (!PyBytes_Check(event))
        return 0;
#ifdef EXACT_BYTES /* for AddressSanitizer: a bytes object has one byte more, and may lie among others */
    Py_ssize_t size = PyBytes_Size(event);
    char *exact = malloc(size);
    memcpy(exact, PyBytes_AsString(event), size);
    int fits = match_bytes(self, exact, size, spans);
    free(exact);
    if (!fits)
        return 0;
#endif
    return match_bytes(self, PyBytes_AsString(event), PyBytes_Size(event), spans);
}

/* The value of what scan_whole has accepted. */
static long long
whole(const Span *span)
{
    long long value = 0;
    for (const char *at = span->begin; at < span->end; at++)
        value = value * 10 + (*at - '0');
    return value;
}

/* ---- lines of a file ---- */

static char *
put(char *out, const char *text, Py_ssize_t size)
{
    memcpy(out, text, size);
    return out + size;
}

static char *
put_number(char *out, unsigned long long value)
{
    char digits[DIGITS_OF_64_BITS];
    int at = DIGITS_OF_64_BITS;
    do
        digits[--at] = '0' + value % 10;
    while ((value /= 10) != 0);
    return put(out, digits + at, DIGITS_OF_64_BITS - at);
}

static char *
put_levels(char *out, const Span *span)
{
    *out++ = '"';
    for (const char *at = span->begin; at < span->end; at++) {
        *out = *at;
        out += *at != '"';
    }
    *out++ = '"';
    return out;
}

/* Have room for a line of a message of this size; no value of it stands in two cells (new_template). */
static int
make_room(Template *self, Py_ssize_t event_size)
{
    Py_ssize_t needed = self->constant_size + event_size;
    if (needed > self->line_room) {
        char *room = realloc(self->line, needed);
        if (room == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        self->line = room;
        self->line_room = needed;
    }
    return 0;
}

static PyObject *
line_of(Template *self, const Span *spans, unsigned long long seq, unsigned long long recv_ns, PyObject *epoch)
{
    char *out = self->line;
    for (Py_ssize_t number = 0; number < self->cell_count; number++) {
        const Cell *cell = &self->cells[number];
        if (cell->value < 0)
            out = put(out, cell->text, cell->size);
        else if (self->steps[cell->value].kind == LEVELS)
            out = put_levels(out, &spans[cell->value]);
        else
            out = put(out, spans[cell->value].begin, spans[cell->value].end - spans[cell->value].begin);
        *out++ = ',';
    }
    out = put_number(out, recv_ns);
    *out++ = ',';
    out = put(out, PyBytes_AsString(epoch), PyBytes_Size(epoch));
    *out++ = ',';
    out = put_number(out, seq);
    out = put(out, ",ws,", 4);
    out = put(out, self->extra, self->extra_size);
    *out++ = '\n';
    return PyBytes_FromStringAndSize(self->line, out - self->line);
}

PyDoc_STRVAR(lines_doc,
"lines(seqs, stamps_ns, events, epoch, lines, days_ms)\n--\n\n"
"Put the line of each message that fits, and the time that decides its day, in their places where `lines` has None.\n"
"Return how many places are left.");

static PyObject *
template_lines(Template *self, PyObject *args)
{
    PyObject *seqs, *stamps, *events, *epoch, *lines, *days;
    Span spans[MOST_VALUES];
    Py_ssize_t count, number, left = 0;
    if (!PyArg_ParseTuple(args, "O!O!O!SO!O!:lines", &PyList_Type, &seqs, &PyList_Type, &stamps, &PyList_Type, &events,
                          &epoch, &PyList_Type, &lines, &PyList_Type, &days))
        return NULL;
    count = PyList_Size(events);
    if (PyBytes_Size(epoch) > DIGITS_OF_64_BITS || PyList_Size(seqs) != count ||
        PyList_Size(stamps) != count || PyList_Size(lines) != count || PyList_Size(days) != count) {
        PyErr_SetString(PyExc_ValueError, "lists of one length, and an epoch of 64 bits are needed");
        return NULL;
    }
    for (number = 0; number < count; number++) {
        PyObject *event = PyList_GetItem(events, number), *line, *day_ms;
        unsigned long long seq, recv_ns;
        if (PyList_GetItem(lines, number) != Py_None)
            continue;
        if (!match(self, event, spans)) {
            left++;
            continue;
        }
        seq = PyLong_AsUnsignedLongLong(PyList_GetItem(seqs, number));
        recv_ns = PyLong_AsUnsignedLongLong(PyList_GetItem(stamps, number));
        if (PyErr_Occurred() || make_room(self, PyBytes_Size(event)) < 0)
            return NULL;
        line = line_of(self, spans, seq, recv_ns, epoch);
        if (line == NULL || PyList_SetItem(lines, number, line) < 0)
            return NULL;
        day_ms = PyLong_FromLongLong(whole(&spans[self->day]));
        if (day_ms == NULL || PyList_SetItem(days, number, day_ms) < 0)
            return NULL;
    }
    if (self->line_room > MOST_KEPT) {
        free(self->line);
        self->line = NULL;
        self->line_room = 0;
    }
    return PyLong_FromSsize_t(left);
}

/* ---- making a template ---- */

static void
template_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    free(((Template *)self)->texts);
    free(((Template *)self)->line);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF((PyObject *)type);
}

/* The size of a bytes object; -1 with an exception for anything else. */
static Py_ssize_t
size_of(PyObject *text)
{
    if (!PyBytes_Check(text)) {
        PyErr_SetString(PyExc_TypeError, "bytes are needed");
        return -1;
    }
    return PyBytes_Size(text);
}

static const char *
keep(char **room, PyObject *text)
{
    Py_ssize_t size = PyBytes_Size(text);
    const char *kept = *room;
    memcpy(*room, PyBytes_AsString(text), size);
    *room += size;
    return kept;
}

/* The bytes that all texts take together; -1 with an exception where something is not as it has to be. */
static Py_ssize_t
check_texts(PyObject *steps, PyObject *tail, PyObject *cells, PyObject *extra)
{
    Py_ssize_t total = size_of(tail), size = size_of(extra), number;
    int used[MOST_VALUES] = {0};
    Py_ssize_t step_count = PyTuple_Size(steps), cell_count = PyTuple_Size(cells);
    if (total < 0 || size < 0)
        return -1;
    total += size;
    if (step_count > MOST_VALUES || cell_count > MOST_VALUES) {
        PyErr_SetString(PyExc_ValueError, "too many values");
        return -1;
    }
    for (number = 0; number < step_count; number++) {
        PyObject *text;
        int kind;
        if (!PyTuple_Check(PyTuple_GetItem(steps, number)) ||
            !PyArg_ParseTuple(PyTuple_GetItem(steps, number), "Si", &text, &kind))
            return -1;
        if (kind < 0 || kind >= KINDS) {
            PyErr_SetString(PyExc_ValueError, "no such kind");
            return -1;
        }
        total += PyBytes_Size(text);
    }
    for (number = 0; number < cell_count; number++) {
        PyObject *cell = PyTuple_GetItem(cells, number);
        if (PyLong_Check(cell)) {
            long value = PyLong_AsLong(cell);
            if (value < 0 || value >= step_count || used[value]++) {
                PyErr_SetString(PyExc_ValueError, "no such value, or one in two cells");
                return -1;
            }
            continue;
        }
        if ((size = size_of(cell)) < 0)
            return -1;
        total += size;
    }
    return total;
}

PyDoc_STRVAR(template_doc,
"Template(steps, tail, cells, extra, day)\n--\n\n"
"Steps are pairs of fixed text and the kind of the value behind it. A cell is the number of a value, or fixed bytes;\n"
"`day` is the number of the value, a whole number, that decides a row's day.");

static PyObject *
new_template(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *steps, *tail, *cells, *extra;
    Py_ssize_t total, number;
    int day;
    char *room;
    Template *self;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Template takes no keywords");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O!SO!Si:Template", &PyTuple_Type, &steps, &tail, &PyTuple_Type, &cells, &extra, &day))
        return NULL;
    if ((total = check_texts(steps, tail, cells, extra)) < 0)
        return NULL;
    self = (Template *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->texts = room = malloc(total + 1);
    if (room == NULL) {
        Py_DECREF((PyObject *)self);
        return PyErr_NoMemory();
    }
    self->step_count = PyTuple_Size(steps);
    self->cell_count = PyTuple_Size(cells);
    for (number = 0; number < self->step_count; number++) {
        Step *step = &self->steps[number];
        PyObject *text;
        if (!PyArg_ParseTuple(PyTuple_GetItem(steps, number), "Si", &text, &step->kind)) {
            Py_DECREF((PyObject *)self);
            return NULL;
        }
        step->size = PyBytes_Size(text);
        step->text = keep(&room, text);
    }
    /* beside cells and values: commas, the quotes of levels, three numbers, "ws" and the end of the line */
    self->constant_size = self->cell_count * 3 + 3 * DIGITS_OF_64_BITS + 16 + PyBytes_Size(extra);
    for (number = 0; number < self->cell_count; number++) {
        Cell *cell = &self->cells[number];
        PyObject *given = PyTuple_GetItem(cells, number);
        cell->value = -1;
        if (PyLong_Check(given)) {
            cell->value = (int)PyLong_AsLong(given);
            continue;
        }
        cell->size = PyBytes_Size(given);
        cell->text = keep(&room, given);
        self->constant_size += cell->size;
    }
    self->tail_size = PyBytes_Size(tail);
    self->tail = keep(&room, tail);
    self->extra_size = PyBytes_Size(extra);
    self->extra = keep(&room, extra);
    self->day = day;
    if (day < 0 || day >= self->step_count || self->steps[day].kind != WHOLE) {
        Py_DECREF((PyObject *)self);
        PyErr_SetString(PyExc_ValueError, "the day is decided by a whole number");
        return NULL;
    }
    return (PyObject *)self;
}

static PyMethodDef template_methods[] = {
    {"lines", (PyCFunction)template_lines, METH_VARARGS, lines_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot template_slots[] = {
    {Py_tp_doc, (void *)template_doc},
    {Py_tp_new, new_template},
    {Py_tp_dealloc, template_dealloc},
    {Py_tp_methods, template_methods},
    {0, NULL},
};

static PyType_Spec template_spec = {
    "services.writer.kernel._kernel.Template", sizeof(Template), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, template_slots,
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_kernel", "The writer's inner loop, compiled.", -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__kernel(void)
{
    PyObject *self = PyModule_Create(&module), *template_type;
    if (self == NULL)
        return NULL;
    template_type = PyType_FromSpec(&template_spec);
    if (template_type == NULL || PyModule_AddObjectRef(self, "Template", template_type) < 0 ||
        PyModule_AddIntConstant(self, "INTERFACE", INTERFACE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    Py_DECREF(template_type);
    return self;
}
