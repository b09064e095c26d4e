// Runs the threads of a launch and sees each of their accesses. Linked to every module.
//
// A CUDA thread is a fiber: a stack and saved registers. One OS thread runs them by turns; a fiber
// runs until it waits at a barrier or ends, so every order of the fibers is one that a GPU could
// choose. Blocks run one after another. Sources are compiled with -fsanitize=thread, which puts a
// call before each access to memory. Here the functions below take these calls, not the thread
// sanitizer's library: so an access outside everything is caught before it happens, and two
// accesses that no barrier orders are seen even when the result is right.
//
// With -DMEMCHECK this is a program of its own instead, linked to AddressSanitizer, which sees the
// accesses then; no races are looked for.
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define HIDDEN __attribute__((visibility("hidden")))
#define SHOWN extern "C" __attribute__((visibility("default")))
#define PC_HERE __builtin_return_address(0)
#ifdef MEMCHECK  // AddressSanitizer takes _longjmp for the end of all frames of a stack
typedef void* Registers[5];
#define SAVE(registers) __builtin_setjmp(registers)
#define GO_ON(registers) __builtin_longjmp(registers, 1)
#else
typedef jmp_buf Registers;
#define SAVE(registers) _setjmp(registers)
#define GO_ON(registers) _longjmp(registers, 1)
#endif

struct uint3 {
    uint32_t x, y, z;
};
constexpr uint64_t DYNAMIC = 48 << 10, STACK = 256 << 10, PAGE = 4096, UNIT = 1 << 20;
constexpr uint64_t PRINTED = 16 << 20;  // bytes that printf writes at most, in a launch
constexpr int MAX_THREADS = 1024, ORDERS = 3;
extern "C" {
HIDDEN uint3 threadIdx, blockIdx, blockDim, gridDim;
#ifdef MEMCHECK
HIDDEN char* cudasim_dynamic;
#else
HIDDEN __thread char cudasim_dynamic[DYNAMIC] __attribute__((aligned(16)));
#endif
}

// ---- what launch.py hands over; it has the same structs ----------------------------------------
struct Array {
    char* host;  // the caller's memory, copied in and never written
    uint64_t size;
    int64_t readonly;  // all its parameters are const T*
    char* results[ORDERS];
    char* device;  // where it lies during the launch
};
struct Argument {
    int64_t array;    // a pointer into this array, `offset` bytes from its start; or -1:
    uint64_t offset;  // a value of `offset` bytes
    void* value;
};
struct Variable {  // in shared memory
    uint64_t offset, size;
};
enum Kind : int64_t {
    NOTHING, OUTSIDE, READONLY, RACE, BARRIER, ENDLESS, STOPPED, CRASHED, BOUNDS, ASSERT, MISALIGNED
};
enum Place : int64_t { NOWHERE, ARRAYS, SHARED, GLOBALS };
struct Fault {
    int64_t kind, place, array, offset, size;  // NOWHERE: offset is the address
    uint32_t block[3], thread[3], other_block[3], other_thread[3];
    int64_t write, other_write, atomic, other_atomic;
    uint64_t pc, other_pc;        // return addresses, from the start of the module
    // BOUNDS: the source line, the index; RACE in dynamic shared memory: the byte; ENDLESS: whether
    // its time is over; CRASHED: index says that the stack ran over, text that it was in printf
    int64_t line, index, signal;
    char file[256], text[256];    // its file, or the barrier's; the array's type, or the condition
};
struct Launch {
    void (*kernel)(void**);
    uint32_t grid[3], block[3];
    uint64_t shared, limit, seed, orders;  // bytes of dynamic shared memory; accesses of an order
    uint64_t seconds;  // of CPU time that the launch may take; 0 is any
    char** stacks;     // of the fibers, for all modules; made by the first launch
    int64_t n_arrays, n_arguments, n_variables;
    Array* arrays;
    Argument* arguments;
    Variable* variables;
    // What comes back:
    Fault fault;
    int64_t float_atomics;   // whether floating atomics ran: sums may then differ by rounding
    int64_t globals_differ;  // whether the module's variables end otherwise in another order
    uint64_t shared_used;    // bytes of the shared variables that were touched
    int32_t waits[MAX_THREADS];  // BARRIER: the line at which each thread waits, 0 if it has left
    char* printed;
    uint64_t n_printed;
};

// ---- the state, on the heap, since the module's own variables are restored between orders ------
struct Fiber {
    Registers registers;
    char* stack;
    const char* file;  // of the barrier where it waits
    int line;
    bool started, waits, ended;
};
// Who touched four bytes of memory (or one byte, in smaller accesses): the last plain write, and
// the first read or atomic of a step, each as 64 bits: step (29 bits), thread (10), atomic (1),
// atomicCAS (1), return address in the module (23). A step is what lies between two barriers. One such note is
// enough, for a thread runs through a step at one go: when it writes, the note is by another
// thread, or nobody else has read. What it hides in one order (a thread that reads and then updates
// atomically, and another that reads) the reverse order shows.
struct Cell {
    uint64_t writer, other;
};
constexpr int STEP = 35, THREAD = 25, ATOMIC = 24, CAS = 23;
constexpr uint64_t PC = (1 << 23) - 1;

struct Region {  // memory in which threads can meet
    uintptr_t begin, size;
    Cell *words, *bytes;
};
struct State {
    Launch* launch;
    Registers scheduler;
    Fiber fibers[MAX_THREADS];
    int n, thread, order;  // how many fibers; the one that runs; the order they run in
    uint64_t step, block_step, order_step;  // now; the first of the block, of the order
    uint64_t accesses, limit;
    uintptr_t stack;  // of the fiber that runs
    Region arrays, shared, globals;
    uint16_t* owner;  // which array + 1 lies in each UNIT of the arrays' region
    uintptr_t image, dynamic_end;
    uint64_t *turn, *first_steps;  // the blocks as they run, and the first step of each
    uint64_t n_blocks, ran, random;
    void **arguments, **pointers;
    char *text, *before, *after;  // what printf wrote; the module's variables, two copies
    uint64_t n_text, text_room;
    int64_t spoke;  // the thread that printed last
    void* printing;  // within printf: its return address
    pthread_t runner;
    // Within a kernel's own code; Ctrl-C was pressed; the time is over.
    volatile sig_atomic_t running, stop, late;
};
static State* s;

static char* map(uint64_t size) {
    void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : (char*)p;
}
static uint64_t random_below(uint64_t n) {  // splitmix64 (Steele, Lea and Flood 2014)
    uint64_t z = (s->random += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % n;
}
template <class T>
static void shuffle(T* items, uint64_t n) {
    for (uint64_t i = n; i > 1; i--) {
        T &a = items[i - 1], &b = items[random_below(i)], c = a;
        a = b, b = c;
    }
}

// ---- faults ------------------------------------------------------------------------------------
static void unravel(uint64_t i, const uint32_t* sizes, uint32_t* index) {
    index[0] = i % sizes[0], index[1] = i / sizes[0] % sizes[1], index[2] = i / sizes[0] / sizes[1];
}
static Fault& fault(Kind kind, void* pc, Place place = NOWHERE, int64_t offset = 0, int size = 0,
                    bool write = false) {
    s->running = 0;
    Fault& f = s->launch->fault;
    f.kind = kind, f.pc = (uintptr_t)pc - s->image;
    f.place = place, f.offset = offset, f.size = size, f.write = write;
    unravel(s->thread, s->launch->block, f.thread);
    unravel(s->turn[s->ran], s->launch->grid, f.block);
    return f;
}
[[noreturn]] static void leave() {  // gives the fiber up
    s->running = 0;
    GO_ON(s->scheduler);
}
[[noreturn]] static void out_of_time(void* pc) {
    fault(s->stop ? STOPPED : ENDLESS, pc).signal = s->late;
    leave();
}

// ---- accesses ----------------------------------------------------------------------------------
// Is the noted access one by another thread that nothing orders before the one now made?
static inline bool meets(uint64_t noted, bool shared) {
    uint64_t step = noted >> STEP;
    if (step == s->step) return (noted >> THREAD & (MAX_THREADS - 1)) != (uint64_t)s->thread;
    return !shared && step < s->block_step && step >= s->order_step;
}

[[noreturn]] static void race(Fault& f, uint64_t noted, bool wrote) {
    f.other_write = wrote, f.other_atomic = noted >> ATOMIC & 1, f.other_pc = noted & PC;
    uint64_t block = s->ran;
    while (s->first_steps[block] > noted >> STEP) block--;
    unravel(noted >> THREAD & (MAX_THREADS - 1), s->launch->block, f.other_thread);
    unravel(s->turn[block], s->launch->grid, f.other_block);
    leave();
}

enum Atomic { PLAIN, INTEGER, FLOAT, COMPARE };  // what cuda.h says of an atomic; COMPARE: atomicCAS

static inline void access(void* address, unsigned size, bool write, Atomic kind, void* pc) {
    const bool atomic = kind != PLAIN, compares = kind == COMPARE;
    if (!s || !s->running) return;
    State& t = *s;
    uintptr_t a = (uintptr_t)address, base;
    if (a - t.stack < STACK) return;  // its own variables
    if (++t.accesses > t.limit) out_of_time(pc);
    Region* region;
    Place place;
    int64_t array = -1;
    if (a - t.arrays.begin < t.arrays.size) {
        region = &t.arrays, place = ARRAYS;
        array = t.owner[(a - t.arrays.begin) / UNIT] - 1;
        Array* owner = array < 0 ? nullptr : &t.launch->arrays[array];
        if (!owner || a - (uintptr_t)owner->device + size > owner->size)
            fault(OUTSIDE, pc, place, a, size, write), leave();
        base = (uintptr_t)owner->device;
        if ((write || atomic) && owner->readonly)
            fault(READONLY, pc, place, a - base, size, true).array = array, leave();
    } else if (a - t.shared.begin < t.shared.size) {
        region = &t.shared, place = SHARED, base = t.shared.begin;
        if (a >= (uintptr_t)cudasim_dynamic && a + size > t.dynamic_end)
            fault(OUTSIDE, pc, place, a - (uintptr_t)cudasim_dynamic, size, write), leave();
    } else if (a - t.globals.begin < t.globals.size) {
        region = &t.globals, place = GLOBALS, base = t.image;
    } else if (!write && a - t.image < t.globals.begin - t.image) {
        return;  // constants
    } else {
        fault(OUTSIDE, pc, NOWHERE, a, size, write), leave();
    }
    uint64_t me = t.step << STEP | (uint64_t)t.thread << THREAD | (uint64_t)atomic << ATOMIC |
                  (uint64_t)compares << CAS | (((uintptr_t)pc - t.image) & PC);
    bool shared = place == SHARED, small = (size | a) % 4;
    auto check = [&](const Cell& cell) {
        bool wrote = meets(cell.writer, shared);
        bool clash = write || (cell.other >> ATOMIC & 1) != atomic;
        // A plain read beside an atomicCAS is how each loop of CUDA's guide around one begins: an
        // old value only costs another round.
        if (!write && (compares || cell.other >> CAS & 1)) clash = false;
        if (!wrote && !(clash && meets(cell.other, shared))) return;
        Fault& f = fault(RACE, pc, place, a - base, size, write);
        f.array = array, f.atomic = atomic, f.index = a - (uintptr_t)cudasim_dynamic;
        race(f, wrote ? cell.writer : cell.other, wrote);
    };
    uintptr_t offset = a - region->begin;
    Cell* cell = small ? region->bytes + offset : region->words + offset / 4;
    for (Cell* end = cell + (small ? size : size / 4); cell != end; cell++) {
        check(*cell);
        // A larger access to the same bytes is noted with its word. Where the small one comes
        // first, the reverse order has it second.
        if (small) check(region->words[(cell - region->bytes) / 4]);
        uint64_t step = cell->other >> STEP;
        if (write)
            cell->writer = me;
        else if (step != t.step && (shared || step >= t.block_step || step < t.order_step))
            cell->other = me;  // the note is over; one of this step or of another block stays
    }
}

// A CPU reads a double at any address, a GPU stops.
__attribute__((noinline, cold)) static void misaligned(void* p, int size, bool write, void* pc) {
    if (!s || !s->running) return;
    fault(MISALIGNED, pc, NOWHERE, (int64_t)p, size, write);
    leave();
}

extern "C" {
#ifndef MEMCHECK
#define HOOK(name, size, align, write)                                 \
    HIDDEN void __tsan_##name##size(void* p) {                         \
        access(p, size, write, PLAIN, PC_HERE);                        \
        if ((uintptr_t)p % align) misaligned(p, size, write, PC_HERE); \
    }
#define HOOKS(size, align)                                                    \
    HOOK(read, size, align, false) HOOK(write, size, align, true)             \
    HOOK(unaligned_read, size, 1, false) HOOK(unaligned_write, size, 1, true) \
    HOOK(volatile_read, size, align, false) HOOK(volatile_write, size, align, true)
HOOKS(1, 1) HOOKS(2, 2) HOOKS(4, 4) HOOKS(8, 8) HOOKS(16, 8)  // a struct of two doubles starts at 8
HIDDEN void __tsan_read_range(void* p, size_t n) { access(p, n, false, PLAIN, PC_HERE); }
HIDDEN void __tsan_write_range(void* p, size_t n) { access(p, n, true, PLAIN, PC_HERE); }
HIDDEN void* __tsan_memcpy(void* to, void* from, size_t n) {  // clang, for structs
    access(from, n, false, PLAIN, PC_HERE), access(to, n, true, PLAIN, PC_HERE);
    return memmove(to, from, n);
}
HIDDEN void* __tsan_memset(void* to, int value, size_t n) {
    access(to, n, true, PLAIN, PC_HERE);
    return memset(to, value, n);
}
HIDDEN void __tsan_func_entry(void*) {}
HIDDEN void __tsan_func_exit() {}
HIDDEN void __tsan_init() {}
#endif

HIDDEN void cudasim_atomic(void* address, int size, Atomic kind, void* pc) {
#ifndef MEMCHECK
    access(address, size, false, kind, pc);
    if ((uintptr_t)address % size) misaligned(address, size, true, pc);
#endif
    if (kind == FLOAT) s->launch->float_atomics = 1;
}

HIDDEN void cudasim_assert(const char* condition) {
    snprintf(fault(ASSERT, PC_HERE).text, 256, "%s", condition);
    leave();
}

// -fsanitize=bounds: an index outside a T[n] whose n the compiler knows; local arrays too.
struct BoundsSite {
    const char* file;
    uint32_t line, column;
    const struct Type {
        uint16_t kind, info;  // of an integer: info is 2 * log2(its bits) + whether it is signed
        char name[1];
    } *array, *index;
};
HIDDEN void __ubsan_handle_out_of_bounds(const BoundsSite* site, uintptr_t index) {
    if (!s || !s->running) return;
    Fault& f = fault(BOUNDS, PC_HERE);
    int unused = 64 - (1 << (site->index->info >> 1));
    f.index = (int64_t)((uint64_t)index << unused);
    f.index = site->index->info & 1 ? f.index >> unused : (int64_t)((uint64_t)f.index >> unused);
    f.line = site->line;
    snprintf(f.file, sizeof f.file, "%s", site->file);
    snprintf(f.text, sizeof f.text, "%s", site->array->name);
    leave();
}
HIDDEN void __ubsan_handle_out_of_bounds_abort(const BoundsSite* site, uintptr_t index) {
    __ubsan_handle_out_of_bounds(site, index);
}

// ---- barriers and printf -----------------------------------------------------------------------
HIDDEN void cudasim_barrier(const char* file, int line) {
    if (++s->accesses > s->limit) out_of_time(PC_HERE);
    Fiber& me = s->fibers[s->thread];
    me.waits = true, me.file = file, me.line = line;
    s->running = 0;
    if (!SAVE(me.registers)) GO_ON(s->scheduler);
}

HIDDEN int cudasim_printf(const char* format, ...) {
    State& t = *s;
    if (++t.accesses > t.limit) out_of_time(PC_HERE);
    // It stands there from the first order; and a GPU's buffer is full at some time, too.
    if (t.order || t.n_text > PRINTED) return 0;
    t.running = 0, t.printing = PC_HERE;
    int64_t who = t.turn[t.ran] * MAX_THREADS + t.thread;
    bool line_start = !t.n_text || t.text[t.n_text - 1] == '\n';
    char tag[128] = "";
    if (line_start || t.spoke != who)
        snprintf(tag, sizeof tag, "%s[block %u,%u,%u thread %u,%u,%u] ", line_start ? "" : "\n",
                 blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
    t.spoke = who;
    va_list values, again;
    va_start(values, format);
    va_copy(again, values);
    int n_tag = strlen(tag), n = vsnprintf(nullptr, 0, format, values);
    if (t.n_text + n_tag + n + 1 > t.text_room)
        t.text = (char*)realloc(t.text, t.text_room = 2 * (t.n_text + n_tag + n + 1));
    memcpy(t.text + t.n_text, tag, n_tag);
    vsnprintf(t.text + t.n_text + n_tag, n + 1, format, again);
    t.n_text += n_tag + n;
    va_end(values), va_end(again);
    t.printing = nullptr, t.running = 1;
    return n;
}
}  // extern "C"

// ---- the scheduler -----------------------------------------------------------------------------
static void fiber_main() {
    for (;;) {  // once for each block
        s->launch->kernel(s->arguments);
        s->running = 0;
        Fiber& me = s->fibers[s->thread];
        me.ended = true;
        if (!SAVE(me.registers)) GO_ON(s->scheduler);
    }
}
__attribute__((noinline)) static void enter(Fiber& f) {
    s->running = 1;
    if (f.started) GO_ON(f.registers);
    f.started = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = f.stack, context.uc_stack.ss_size = STACK, context.uc_link = nullptr;
    makecontext(&context, fiber_main, 0);
    setcontext(&context);
}
__attribute__((noinline)) static void resume(int i) {  // until the fiber waits, ends or fails
    Fiber& f = s->fibers[i];
    s->thread = i, s->stack = (uintptr_t)f.stack, f.waits = false;
    unravel(i, s->launch->block, &threadIdx.x);
    if (!SAVE(s->scheduler)) enter(f);
}

static void run_block() {
    State& t = *s;
    t.block_step = t.first_steps[t.ran] = ++t.step;
    unravel(t.turn[t.ran], t.launch->grid, &blockIdx.x);
    // Shared memory starts as NaN, whatever the block before left: nobody may rely on it.
#ifdef MEMCHECK
    memset(cudasim_dynamic, 0xff, t.launch->shared);
#else
    memset((void*)t.shared.begin, 0xff, t.dynamic_end - t.shared.begin);
#endif
    int turn[MAX_THREADS];
    for (int i = 0; i < t.n; i++) {
        t.fibers[i].ended = false;
        turn[i] = t.order == 1 ? t.n - 1 - i : i;
    }
    for (int waiting = -1; waiting; t.step++) {
        if (t.order == 2) shuffle(turn, t.n);
        for (int i = 0; i < t.n; i++) {
            resume(turn[i]);
            if (t.launch->fault.kind) return;
        }
        const Fiber* first = nullptr;
        bool parted = false;
        waiting = 0;
        for (const Fiber* f = t.fibers; f != t.fibers + t.n; f++) {
            if (!f->waits) continue;
            if (!waiting++) first = f;
            parted |= f->line != first->line || strcmp(f->file, first->file);
        }
        if (waiting && (waiting < t.n || parted)) {
            snprintf(fault(BARRIER, nullptr).file, 256, "%s", first->file);
            for (int i = 0; i < t.n; i++)
                t.launch->waits[i] = t.fibers[i].waits ? t.fibers[i].line : 0;
            return;
        }
    }
}

static void run_order(int order) {
    State& t = *s;
    Launch& l = *t.launch;
    t.order = order, t.ran = 0, t.accesses = 0, t.order_step = t.step + 1;
    for (Array* a = l.arrays; a != l.arrays + l.n_arrays; a++)
        if (!order || !a->readonly) memcpy(a->device, a->host, a->size);
    if (order) memcpy((void*)t.globals.begin, t.before, t.globals.size);
    blockDim = uint3{l.block[0], l.block[1], l.block[2]};
    gridDim = uint3{l.grid[0], l.grid[1], l.grid[2]};
    for (uint64_t i = 0; i < t.n_blocks; i++) t.turn[i] = order == 1 ? t.n_blocks - 1 - i : i;
    if (order == 2) shuffle(t.turn, t.n_blocks);
    for (; t.ran < t.n_blocks; t.ran++) {
        run_block();
        if (!t.limit && !l.fault.kind) fault(t.stop ? STOPPED : ENDLESS, nullptr).signal = t.late;
        if (l.fault.kind) return;
    }
    threadIdx = blockIdx = uint3{};
    for (Array* a = l.arrays; a != l.arrays + l.n_arrays; a++)
        if (!a->readonly) memcpy(a->results[order], a->device, a->size);
    if (!order)
        memcpy(t.after, (void*)t.globals.begin, t.globals.size);
    else if (memcmp(t.after, (void*)t.globals.begin, t.globals.size))
        l.globals_differ = 1;
}

// ---- signals: a kernel that crashes or is stopped is left; Python lives on ---------------------
const int SIGNALS[] = {SIGINT, SIGVTALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL}, N_SIGNALS = 6;
static void on_signal(int signal, siginfo_t* info, void* context) {
    State& t = *s;
    bool here = pthread_equal(pthread_self(), t.runner);
    bool ends = signal == SIGINT || signal == SIGVTALRM;
    if (signal == SIGVTALRM) t.late = 1;
    if (signal == SIGINT) t.stop = 1;
    if (ends && !(here && t.running)) {
        t.limit = 0;  // the next access leaves
    } else if (here && (t.running || t.printing)) {
        void* pc = nullptr;
#if defined(__x86_64__) && defined(__linux__)
        pc = (void*)(((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] + 1);
#elif defined(__aarch64__) && defined(__linux__)
        pc = (void*)(((ucontext_t*)context)->uc_mcontext.pc + 1);
#endif
        if (ends) out_of_time(pc);
        Fault& f = fault(CRASHED, t.printing ? t.printing : pc);
        if (t.printing) strcpy(f.text, "printf");
        f.signal = signal, t.printing = nullptr;
        f.index = (uintptr_t)info->si_addr - (t.stack - PAGE) < PAGE;  // the stack ran over
        leave();
    } else {  // not a kernel's fault
        ::signal(signal, SIG_DFL);
        raise(signal);
    }
}

// ---- where the module's memory lies ------------------------------------------------------------
static int find_image(struct dl_phdr_info* info, size_t, void*) {
    uintptr_t offset = (uintptr_t)find_image - info->dlpi_addr, constant_end = 0;
    bool mine = false;
    for (const ElfW(Phdr)* p = info->dlpi_phdr; p != info->dlpi_phdr + info->dlpi_phnum; p++) {
        mine |= p->p_type == PT_LOAD && offset - p->p_vaddr < p->p_memsz;
        if (p->p_type == PT_GNU_RELRO) constant_end = info->dlpi_addr + p->p_vaddr + p->p_memsz;
    }
    if (!mine) return 0;
    s->image = info->dlpi_addr;
    for (const ElfW(Phdr)* p = info->dlpi_phdr; p != info->dlpi_phdr + info->dlpi_phnum; p++) {
        uintptr_t begin = info->dlpi_addr + p->p_vaddr, end = begin + p->p_memsz;
        if (p->p_type == PT_LOAD && p->p_flags & PF_W) {
            s->globals.begin = constant_end > begin && constant_end < end ? constant_end : begin;
            s->globals.size = end - s->globals.begin;
        }
        if (p->p_type == PT_TLS)  // __shared__ variables, then cudasim_dynamic
            s->shared.begin = (uintptr_t)info->dlpi_tls_data, s->shared.size = p->p_memsz;
    }
    return 1;
}

static uint64_t shared_used(const Launch& l) {
    uint64_t used = 0;
    for (const Variable* v = l.variables; v != l.variables + l.n_variables; v++) {
        const char *words = (char*)(s->shared.words + v->offset / 4),
                   *bytes = (char*)(s->shared.bytes + v->offset);
        bool touched = false;
        for (uint64_t i = 0; i < v->size / 4 * sizeof(Cell); i++) touched |= words[i] != 0;
        for (uint64_t i = 0; !touched && i < v->size * sizeof(Cell); i++) touched |= bytes[i] != 0;
        if (touched) used += v->size;
    }
    return used;
}

static bool make_shadow(Region& r) {
    r.words = (Cell*)map((r.size / 4 + 4) * sizeof(Cell));
    r.bytes = (Cell*)map((r.size + 16) * sizeof(Cell));
    return r.words && r.bytes;
}
static void drop_shadow(Region& r) {
    munmap(r.words, (r.size / 4 + 4) * sizeof(Cell));
    munmap(r.bytes, (r.size + 16) * sizeof(Cell));
}

// One stack a fiber, below each a page that nobody may touch. Linux allows a process some 65530
// pieces of memory, and these are 2048: so the modules share them.
static char* make_stacks() {
    char* stacks = map(MAX_THREADS * (PAGE + STACK));
    for (int i = 0; stacks && i < MAX_THREADS; i++)
        mprotect(stacks + i * (PAGE + STACK), PAGE, PROT_NONE);
    return stacks;
}

// Each array starts a UNIT and is followed by as much empty space as it has itself, so that an
// index which is off by less than the array's size falls into no other array.
static bool lay_out_arrays() {
    State& t = *s;
    Launch& l = *t.launch;
#ifdef MEMCHECK
    for (Array* a = l.arrays; a != l.arrays + l.n_arrays; a++) a->device = (char*)malloc(a->size);
#else
    t.arrays.size = UNIT;
    for (Array* a = l.arrays; a != l.arrays + l.n_arrays; a++)
        t.arrays.size += (a->size / UNIT + 1) * 2 * UNIT;
    t.arrays.begin = (uintptr_t)map(t.arrays.size);
    if (!t.arrays.begin) return false;
    t.owner = (uint16_t*)calloc(t.arrays.size / UNIT, sizeof *t.owner);
    uint64_t unit = 1;
    for (int64_t i = 0; i < l.n_arrays; i++) {
        l.arrays[i].device = (char*)t.arrays.begin + unit * UNIT;
        for (uint64_t end = unit + (l.arrays[i].size / UNIT + 1) * 2; unit < end; unit++)
            t.owner[unit] = i + 1;
    }
#endif
    return true;
}

// Runs a launch under its orders. 0, or -1 when memory ran out; the rest stands in the launch.
SHOWN int cudasim_launch(Launch* l) {
    if (!s) s = (State*)calloc(1, sizeof(State));
    State& t = *s;
    t.launch = l, t.limit = l->limit, t.random = l->seed, t.runner = pthread_self();
    t.n_text = t.step = t.stop = t.late = 0;
    t.n = l->block[0] * l->block[1] * l->block[2];
    t.n_blocks = (uint64_t)l->grid[0] * l->grid[1] * l->grid[2];
#ifdef MEMCHECK
    cudasim_dynamic = (char*)malloc(l->shared);
#else
    ((volatile char*)cudasim_dynamic)[0] = 0;  // gives this OS thread its copy of the TLS
#endif
    t.dynamic_end = (uintptr_t)cudasim_dynamic + l->shared;
    dl_iterate_phdr(find_image, nullptr);
#ifdef MEMCHECK
    t.globals.size = t.shared.size = 0;  // AddressSanitizer has its own marks between variables
#endif
    if (!*l->stacks && !(*l->stacks = make_stacks())) return -1;
    for (int i = 0; i < t.n; i++) {  // another module's fibers may have run on the stacks since
        t.fibers[i].stack = *l->stacks + i * (PAGE + STACK) + PAGE;
        t.fibers[i].started = false;
    }
    t.turn = (uint64_t*)map(t.n_blocks * 2 * sizeof *t.turn);
    if (!t.turn || !lay_out_arrays()) return -1;
    t.first_steps = t.turn + t.n_blocks;
    if (!make_shadow(t.arrays) || !make_shadow(t.shared) || !make_shadow(t.globals)) return -1;
    t.arguments = (void**)calloc(2 * l->n_arguments + 1, sizeof(void*));
    t.pointers = t.arguments + l->n_arguments;
    for (int64_t i = 0; i < l->n_arguments; i++) {
        const Argument& a = l->arguments[i];
        if (a.array >= 0) t.pointers[i] = l->arrays[a.array].device + a.offset;
        t.arguments[i] = a.array >= 0 ? &t.pointers[i] : a.value;
    }
    t.before = (char*)malloc(2 * t.globals.size), t.after = t.before + t.globals.size;
    memcpy(t.before, (void*)t.globals.begin, t.globals.size);

    struct sigaction action = {}, earlier[N_SIGNALS];
    stack_t own = {}, earlier_stack;
    own.ss_sp = map(own.ss_size = 16 * PAGE);
    sigaltstack(&own, &earlier_stack);
    action.sa_sigaction = on_signal, action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < N_SIGNALS; i++) sigaction(SIGNALS[i], &action, &earlier[i]);
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID, event.sigev_signo = SIGVTALRM;
    event.sigev_notify_thread_id = syscall(SYS_gettid);
    itimerspec time = {{}, {(time_t)l->seconds, 0}};
    timer_t timer;
    bool timed = !timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer);
    if (timed) timer_settime(timer, 0, &time, nullptr);

    for (uint64_t order = 0; order < l->orders && !l->fault.kind; order++) {
        run_order(order);
        if (!order) l->shared_used = shared_used(*l);
        if (t.stop && !l->fault.kind) fault(STOPPED, nullptr);
    }

    if (timed) timer_delete(timer);
    for (int i = 0; i < N_SIGNALS; i++) sigaction(SIGNALS[i], &earlier[i], nullptr);
    sigaltstack(&earlier_stack, nullptr);
    munmap(own.ss_sp, own.ss_size);
    memcpy((void*)t.globals.begin, l->fault.kind ? t.before : t.after, t.globals.size);
    drop_shadow(t.arrays), drop_shadow(t.shared), drop_shadow(t.globals);
    munmap((void*)t.arrays.begin, t.arrays.size), munmap(t.turn, t.n_blocks * 2 * sizeof *t.turn);
    free(t.before), free(t.owner), free(t.arguments);
    l->printed = t.text, l->n_printed = t.n_text;
    return 0;
}


#ifdef MEMCHECK
// ---- the program: memcheck KERNEL LAUNCH ANSWER ------------------------------------------------
extern "C" {
void* __asan_get_report_address();
void* __asan_get_report_pc();
int __asan_get_report_access_type();
size_t __asan_get_report_access_size();
const char* __asan_get_report_description();
}
static FILE* answer;
constexpr int64_t REDZONE = 2048;  // around what malloc gives; launch.py asks for that much

static void reply() {
    Launch& l = *s->launch;
    l.printed = s->text, l.n_printed = s->n_text;
    fwrite(&l, sizeof l, 1, answer);
    fwrite(l.arrays, sizeof *l.arrays, l.n_arrays, answer);
    for (Array* a = l.arrays; a != l.arrays + l.n_arrays; a++)
        if (!a->readonly) fwrite(a->results[0], 1, a->size, answer);
    fwrite(l.printed, 1, l.n_printed, answer);
    fclose(answer);
    _exit(0);
}
SHOWN void __asan_on_error() {
    Fault& f = fault(OUTSIDE, __asan_get_report_pc(), NOWHERE,
                     (int64_t)__asan_get_report_address(), __asan_get_report_access_size(),
                     __asan_get_report_access_type());
    const char* what = __asan_get_report_description();
    snprintf(f.text, sizeof f.text, "%s", what);
    int64_t offset = f.offset - (int64_t)cudasim_dynamic;
    if (offset >= -REDZONE && offset < (int64_t)s->launch->shared + REDZONE)
        f.place = SHARED, f.offset = offset;
    else if (strstr(what, "heap"))
        f.place = ARRAYS;
    reply();
}
int main(int, char** arguments) {
    FILE* input = fopen(arguments[2], "rb");
    answer = fopen(arguments[3], "wb");
    auto get = [&](uint64_t size) {
        void* p = malloc(size);
        if (fread(p, 1, size, input) != size) _exit(2);
        return p;
    };
    Launch* l = (Launch*)get(sizeof(Launch));
    l->arrays = (Array*)get(l->n_arrays * sizeof(Array));
    l->arguments = (Argument*)get(l->n_arguments * sizeof(Argument));
    l->n_variables = l->seconds = 0;  // launch.py looks at the clock
    static char* stacks;
    l->stacks = &stacks;
    for (Array* a = l->arrays; a != l->arrays + l->n_arrays; a++) {
        a->host = (char*)get(a->size);
        a->results[0] = (char*)malloc(a->size);
    }
    for (Argument* a = l->arguments; a != l->arguments + l->n_arguments; a++)
        if (a->array < 0) a->value = get(a->offset);
    char name[512];
    snprintf(name, sizeof name, "cudasim_call_%s", arguments[1]);
    l->kernel = (void (*)(void**))dlsym(RTLD_DEFAULT, name);
    if (!l->kernel || cudasim_launch(l)) return 2;
    reply();
}
#endif
