// What CUDA C has built in, for a C++ compiler: the front of every source that cudasim compiles.
// Only what NVRTC knows without headers, so that a source which compiles here compiles there.
// The other half, which runs the threads and sees their accesses, is runtime.cpp.
#pragma once

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

// ---- words of the language ---------------------------------------------------------------------
#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __constant__
#ifdef MEMCHECK
#define __shared__ static
#else  // one segment has all of it, the module's TLS
#define __shared__ thread_local __attribute__((used))
#endif
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __grid_constant__
#define NULL nullptr
#define __align__(n) __attribute__((aligned(n)))
#define CUDASIM_UNSEEN __attribute__((no_sanitize("thread")))  // accesses that are not checked
#define CUDASIM_HIDDEN __attribute__((visibility("hidden")))

// ---- where a thread is -------------------------------------------------------------------------
struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
    constexpr operator uint3() const { return uint3{x, y, z}; }
};
// Constant for the thread that reads them; runtime.cpp sets them anew for each one that it runs.
extern "C" CUDASIM_HIDDEN const uint3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

// ---- runtime.cpp -------------------------------------------------------------------------------
extern "C" {
CUDASIM_HIDDEN void cudasim_barrier(const char* file, int line);
CUDASIM_HIDDEN void cudasim_atomic(void* address, int size, int kind, void* pc);
CUDASIM_HIDDEN int cudasim_printf(const char* format, ...) __attribute__((format(printf, 1, 2)));
CUDASIM_HIDDEN void cudasim_assert(const char* condition);
// What extern __shared__ T name[] points to.
#ifdef MEMCHECK
CUDASIM_HIDDEN extern char* cudasim_dynamic;
#else
CUDASIM_HIDDEN extern __thread char cudasim_dynamic[49152];
#endif
}
static inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    cudasim_barrier(file, line);
}
static inline void __trap() { cudasim_assert("__trap()"); }
#define printf cudasim_printf
#define assert(condition) ((condition) ? (void)0 : cudasim_assert(#condition))

// ---- what is not simulated ---------------------------------------------------------------------
#define NOT_SIMULATED(name, sentence) \
    template <class... Any>           \
    __attribute__((error(sentence))) int name(Any...);
#define NO_WARPS(name) NOT_SIMULATED(name, "warp functions are not simulated: use shared memory")
NO_WARPS(__shfl_sync)
NO_WARPS(__shfl_up_sync)
NO_WARPS(__shfl_down_sync)
NO_WARPS(__shfl_xor_sync)
NO_WARPS(__ballot_sync)
NO_WARPS(__any_sync)
NO_WARPS(__all_sync)
NO_WARPS(__activemask)
NO_WARPS(__reduce_add_sync)
NO_WARPS(__match_any_sync)
NOT_SIMULATED(__syncwarp, "warps are not simulated: use __syncthreads()")
#define NO_FENCE(name) \
    NOT_SIMULATED(name, "fences are not simulated: blocks meet in a later launch")
NO_FENCE(__threadfence)
NO_FENCE(__threadfence_block)
NO_FENCE(__threadfence_system)
#define NO_COUNT(name) NOT_SIMULATED(name, "not simulated: count in shared memory with atomicAdd")
NO_COUNT(__syncthreads_count)
NO_COUNT(__syncthreads_and)
NO_COUNT(__syncthreads_or)
NOT_SIMULATED(clock, "not simulated: no clock says here how long a GPU takes")
NOT_SIMULATED(clock64, "not simulated: no clock says here how long a GPU takes")
NOT_SIMULATED(malloc, "not simulated: no memory is allocated in a kernel; use a local array")

// ---- atomics -----------------------------------------------------------------------------------
// One thread runs at a time, so a plain operation is atomic; the runtime is told about it.
#define ATOMIC(name, T, result)                                                        \
    CUDASIM_UNSEEN __noinline__ static T name(T* address, T value) {                   \
        int kind = (T)0.5f != 0 ? 2 : 1; /* floating or not; 3 is atomicCAS */         \
        cudasim_atomic(address, sizeof(T), kind, __builtin_return_address(0));         \
        T old = *address;                                                              \
        *address = result;                                                             \
        return old;                                                                    \
    }
#define ATOMIC_INTEGERS(name, result)                        \
    ATOMIC(name, int, result) ATOMIC(name, unsigned, result) \
    ATOMIC(name, unsigned long long, result)
ATOMIC_INTEGERS(atomicAdd, old + value)
ATOMIC(atomicAdd, float, old + value)
ATOMIC(atomicAdd, double, old + value)
ATOMIC(atomicSub, int, old - value)
ATOMIC(atomicSub, unsigned, old - value)
ATOMIC_INTEGERS(atomicExch, value)
ATOMIC(atomicExch, float, value)
ATOMIC_INTEGERS(atomicMin, old < value ? old : value)
ATOMIC(atomicMin, long long, old < value ? old : value)
ATOMIC_INTEGERS(atomicMax, old > value ? old : value)
ATOMIC(atomicMax, long long, old > value ? old : value)
ATOMIC_INTEGERS(atomicAnd, old & value)
ATOMIC_INTEGERS(atomicOr, old | value)
ATOMIC_INTEGERS(atomicXor, old ^ value)
ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
#define ATOMIC_CAS(T)                                                                \
    CUDASIM_UNSEEN __noinline__ static T atomicCAS(T* address, T compare, T value) { \
        cudasim_atomic(address, sizeof(T), 3, __builtin_return_address(0));          \
        T old = *address;                                                            \
        if (old == compare) *address = value;                                        \
        return old;                                                                  \
    }
ATOMIC_CAS(int)
ATOMIC_CAS(unsigned)
ATOMIC_CAS(unsigned long long)
ATOMIC_CAS(unsigned short)

// ---- mathematics: float, double and f-suffixed forms, ambiguous for integers as in CUDA ------
#define UNARY(name)                                                         \
    static inline float name##f(float x) { return __builtin_##name##f(x); } \
    static inline float name(float x) { return __builtin_##name##f(x); }    \
    static inline double name(double x) { return __builtin_##name(x); }
#define BINARY(name)                                                                    \
    static inline float name##f(float x, float y) { return __builtin_##name##f(x, y); } \
    static inline float name(float x, float y) { return __builtin_##name##f(x, y); }    \
    static inline double name(double x, double y) { return __builtin_##name(x, y); }
#define TEST(name)                                                   \
    static inline bool name(float x) { return __builtin_##name(x); } \
    static inline bool name(double x) { return __builtin_##name(x); }
UNARY(exp) UNARY(exp2) UNARY(expm1) UNARY(log) UNARY(log2) UNARY(log10) UNARY(log1p)
UNARY(sqrt) UNARY(cbrt) UNARY(fabs) UNARY(floor) UNARY(ceil) UNARY(trunc) UNARY(round)
UNARY(rint) UNARY(nearbyint) UNARY(sin) UNARY(cos) UNARY(tan) UNARY(asin) UNARY(acos) UNARY(atan)
UNARY(sinh) UNARY(cosh) UNARY(tanh) UNARY(asinh) UNARY(acosh) UNARY(atanh) UNARY(erf) UNARY(erfc)
UNARY(lgamma) UNARY(tgamma)
BINARY(pow) BINARY(fmod) BINARY(atan2) BINARY(hypot) BINARY(copysign) BINARY(fmin) BINARY(fmax)
BINARY(fdim) BINARY(remainder) BINARY(nextafter)
TEST(isnan) TEST(isinf) TEST(isfinite) TEST(signbit)
static inline float fmaf(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
static inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
static inline double fma(double x, double y, double z) { return __builtin_fma(x, y, z); }
static inline float pow(float x, int n) { return __builtin_powf(x, (float)n); }
static inline double pow(double x, int n) { return __builtin_pow(x, n); }
static inline float ldexp(float x, int n) { return __builtin_ldexpf(x, n); }
static inline double ldexp(double x, int n) { return __builtin_ldexp(x, n); }
static inline float ldexpf(float x, int n) { return __builtin_ldexpf(x, n); }
static inline double sinpi(double x) {
    return __builtin_sin(3.14159265358979323846 * __builtin_fmod(x, 2));
}
static inline double cospi(double x) {
    return __builtin_cos(3.14159265358979323846 * __builtin_fmod(x, 2));
}
static inline float sinpif(float x) { return (float)sinpi(x); }
static inline float cospif(float x) { return (float)cospi(x); }
static inline double normcdf(double x) { return 0.5 * __builtin_erfc(-x / 1.41421356237309504880); }
static inline float normcdff(float x) { return (float)normcdf(x); }
static inline double rcbrt(double x) { return 1 / __builtin_cbrt(x); }
static inline float rcbrtf(float x) { return (float)rcbrt(x); }
static inline double rhypot(double x, double y) { return 1 / __builtin_hypot(x, y); }
static inline float rhypotf(float x, float y) { return (float)rhypot(x, y); }
static inline double norm3d(double x, double y, double z) {
    return __builtin_hypot(__builtin_hypot(x, y), z);
}
static inline float norm3df(float x, float y, float z) { return (float)norm3d(x, y, z); }
static inline double nan(const char*) { return __builtin_nan(""); }
static inline float nanf(const char*) { return __builtin_nanf(""); }
static inline float modff(float x, float* whole) { return *whole = truncf(x), x - *whole; }
static inline double modf(double x, double* whole) { return *whole = trunc(x), x - *whole; }
static inline float frexpf(float x, int* exponent) {
    int e;
    float y = __builtin_frexpf(x, &e);
    return *exponent = e, y;
}
static inline double frexp(double x, int* exponent) {
    int e;
    double y = __builtin_frexp(x, &e);
    return *exponent = e, y;
}
static inline float scalbnf(float x, int n) { return __builtin_scalbnf(x, n); }
static inline double scalbn(double x, int n) { return __builtin_scalbn(x, n); }
static inline int ilogbf(float x) { return __builtin_ilogbf(x); }
static inline int ilogb(double x) { return __builtin_ilogb(x); }
static inline long lroundf(float x) { return __builtin_lroundf(x); }
static inline long lround(double x) { return __builtin_lround(x); }
static inline long lrintf(float x) { return __builtin_lrintf(x); }
static inline long lrint(double x) { return __builtin_lrint(x); }
static inline long long llroundf(float x) { return __builtin_llroundf(x); }
static inline long long llround(double x) { return __builtin_llround(x); }
static inline long long llrintf(float x) { return __builtin_llrintf(x); }
static inline long long llrint(double x) { return __builtin_llrint(x); }
static inline long labs(long x) { return x < 0 ? -x : x; }
static inline long long llabs(long long x) { return x < 0 ? -x : x; }
static inline float exp10f(float x) { return __builtin_powf(10.0f, x); }
static inline float exp10(float x) { return __builtin_powf(10.0f, x); }
static inline double exp10(double x) { return __builtin_pow(10.0, x); }
static inline float rsqrtf(float x) { return 1.0f / __builtin_sqrtf(x); }
static inline float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / __builtin_sqrt(x); }
static inline void sincosf(float x, float* s, float* c) { *s = sinf(x), *c = cosf(x); }
static inline void sincos(double x, double* s, double* c) { *s = sin(x), *c = cos(x); }
static inline int abs(int x) { return x < 0 ? -x : x; }
static inline long abs(long x) { return x < 0 ? -x : x; }
static inline long long abs(long long x) { return x < 0 ? -x : x; }
static inline float abs(float x) { return __builtin_fabsf(x); }
static inline double abs(double x) { return __builtin_fabs(x); }
#define MIN_MAX(T)                                          \
    static inline T min(T x, T y) { return y < x ? y : x; } \
    static inline T max(T x, T y) { return x < y ? y : x; }
MIN_MAX(int) MIN_MAX(unsigned) MIN_MAX(long) MIN_MAX(unsigned long)
MIN_MAX(long long) MIN_MAX(unsigned long long)
static inline unsigned min(int x, unsigned y) { return min((unsigned)x, y); }
static inline unsigned min(unsigned x, int y) { return min(x, (unsigned)y); }
static inline unsigned max(int x, unsigned y) { return max((unsigned)x, y); }
static inline unsigned max(unsigned x, int y) { return max(x, (unsigned)y); }
static inline float min(float x, float y) { return fmin(x, y); }  // as CUDA's: NaN gives the other
static inline float max(float x, float y) { return fmax(x, y); }
static inline double min(double x, double y) { return fmin(x, y); }
static inline double max(double x, double y) { return fmax(x, y); }
static inline double min(float x, double y) { return fmin((double)x, y); }
static inline double min(double x, float y) { return fmin(x, (double)y); }
static inline double max(float x, double y) { return fmax((double)x, y); }
static inline double max(double x, float y) { return fmax(x, (double)y); }

// The fast forms and the conversions by name; here as precise as the others.
#define FAST(name) \
    static inline float __##name(float x) { return name(x); }
FAST(expf) FAST(exp10f) FAST(logf) FAST(log2f) FAST(log10f) FAST(sinf) FAST(cosf) FAST(tanf)
static inline float __powf(float x, float y) { return powf(x, y); }
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fsub_rn(float x, float y) { return x - y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline double __dadd_rn(double x, double y) { return x + y; }
static inline double __dmul_rn(double x, double y) { return x * y; }
static inline int __float2int_rd(float x) { return (int)floorf(x); }
static inline int __float2int_ru(float x) { return (int)ceilf(x); }
static inline int __float2int_rn(float x) { return (int)rintf(x); }
static inline int __float2int_rz(float x) { return (int)x; }
static inline float __int2float_rn(int x) { return (float)x; }
static inline int __mul24(int x, int y) { return x * y; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned __brev(unsigned x) {
    unsigned y = 0;
    for (int i = 0; i < 32; i++) y |= (x >> i & 1) << (31 - i);
    return y;
}
static inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev((unsigned)x) << 32 | __brev((unsigned)(x >> 32));
}
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    unsigned long long bytes = (unsigned long long)y << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++)
        result |= (unsigned)(bytes >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
    return result;
}
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return (unsigned)((((unsigned long long)high << 32 | low) << (shift & 31)) >> 32);
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return (unsigned)(((unsigned long long)high << 32 | low) >> (shift & 31));
}
static inline int __mulhi(int x, int y) { return (int)((long long)x * y >> 32); }
static inline unsigned __umulhi(unsigned x, unsigned y) {
    return (unsigned)((unsigned long long)x * y >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
    return (unsigned long long)((unsigned __int128)x * y >> 64);
}
static inline unsigned __umul24(unsigned x, unsigned y) { return x * y; }
static inline int __hadd(int x, int y) { return (int)(((long long)x + y) >> 1); }
static inline unsigned __sad(int x, int y, unsigned z) {
    return z + (x < y ? (unsigned)y - (unsigned)x : (unsigned)x - (unsigned)y);
}
static inline float __frsqrt_rn(float x) { return (float)(1 / __builtin_sqrt((double)x)); }
static inline float fdividef(float x, float y) { return x / y; }
static inline double __dsub_rn(double x, double y) { return x - y; }
static inline double __ddiv_rn(double x, double y) { return x / y; }
static inline double __drcp_rn(double x) { return 1 / x; }
static inline double __dsqrt_rn(double x) { return __builtin_sqrt(x); }
static inline float __uint2float_rn(unsigned x) { return (float)x; }
static inline float __ll2float_rn(long long x) { return (float)x; }
static inline float __double2float_rn(double x) { return (float)x; }
static inline double __int2double_rn(int x) { return x; }
static inline unsigned __float2uint_rn(float x) { return (unsigned)rintf(x); }
static inline unsigned __float2uint_rz(float x) { return (unsigned)x; }
static inline int __double2int_rn(double x) { return (int)rint(x); }
static inline int __double2int_rz(double x) { return (int)x; }
static inline int __double2int_rd(double x) { return (int)floor(x); }
static inline int __double2int_ru(double x) { return (int)ceil(x); }
static inline long long __double2ll_rn(double x) { return (long long)rint(x); }
#define BITS(name, To, From)                \
    static inline To name(From x) {         \
        To y;                               \
        __builtin_memcpy(&y, &x, sizeof y); \
        return y;                           \
    }
BITS(__int_as_float, float, int)
BITS(__float_as_int, int, float)
BITS(__uint_as_float, float, unsigned)
BITS(__float_as_uint, unsigned, float)
BITS(__longlong_as_double, double, long long)
BITS(__double_as_longlong, long long, double)
static inline void* memcpy(void* to, const void* from, size_t n) {
    for (size_t i = 0; i < n; i++) ((char*)to)[i] = ((const char*)from)[i];
    return to;
}
static inline void* memset(void* to, int value, size_t n) {
    for (size_t i = 0; i < n; i++) ((char*)to)[i] = value;
    return to;
}
template <class T>
static inline T __ldg(const T* address) {
    return *address;
}

#define VECTORS(T, name)                                                      \
    struct name##1 {                                                          \
        T x;                                                                  \
    };                                                                        \
    struct name##2 {                                                          \
        T x, y;                                                               \
    } __align__(2 * sizeof(T));                                               \
    struct name##4 {                                                          \
        T x, y, z, w;                                                         \
    } __align__(sizeof(T) > 4 ? 16 : 4 * sizeof(T));                          \
    static inline name##1 make_##name##1(T x) { return {x}; }                 \
    static inline name##2 make_##name##2(T x, T y) { return {x, y}; }         \
    static inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define THREE(T, name)    \
    struct name##3 {      \
        T x, y, z;        \
    };
#define MAKE_THREE(T, name) \
    static inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }
#define ALL_VECTORS(T, name) VECTORS(T, name) THREE(T, name) MAKE_THREE(T, name)
ALL_VECTORS(float, float)
ALL_VECTORS(double, double)
ALL_VECTORS(signed char, char)
ALL_VECTORS(unsigned char, uchar)
ALL_VECTORS(short, short)
ALL_VECTORS(unsigned short, ushort)
ALL_VECTORS(int, int)
ALL_VECTORS(long, long)
ALL_VECTORS(unsigned long, ulong)
ALL_VECTORS(long long, longlong)
ALL_VECTORS(unsigned long long, ulonglong)
VECTORS(unsigned, uint)
MAKE_THREE(unsigned, uint)

// A source may have names of its own that are spelt like these.
#undef NOT_SIMULATED
#undef NO_WARPS
#undef NO_FENCE
#undef NO_COUNT
#undef ATOMIC
#undef ATOMIC_INTEGERS
#undef ATOMIC_CAS
#undef UNARY
#undef BINARY
#undef TEST
#undef MIN_MAX
#undef FAST
#undef BITS
#undef VECTORS
#undef THREE
#undef MAKE_THREE
#undef ALL_VECTORS

// ---- what a kernel takes, for the check of the arguments, and how it is called -----------------
namespace cudasim {
struct Parameter {  // kind: f float, i and u integers, b bool, p pointer, v void, s any other type
    int kind, size, pointee_kind, pointee_size, pointee_const;
};
template <class T>
constexpr int kind = 's';
template <>
constexpr int kind<void> = 'v';
template <>
constexpr int kind<bool> = 'b';
#define KIND(letter, T) \
    template <>         \
    constexpr int kind<T> = letter;
KIND('f', float) KIND('f', double) KIND('i', char) KIND('i', signed char) KIND('u', unsigned char)
KIND('i', short) KIND('u', unsigned short) KIND('i', int) KIND('u', unsigned) KIND('i', long)
KIND('u', unsigned long) KIND('i', long long) KIND('u', unsigned long long)
#undef KIND
template <class T>
struct Describe {
    static constexpr Parameter value = {kind<T>, sizeof(T), 0, 0, 0};
};
template <class T>
constexpr int size = sizeof(T);
template <>
constexpr int size<void> = 1;
template <class T>
struct Describe<T*> {
    static constexpr Parameter value = {'p', sizeof(T*), kind<T>, size<T>, 0};
};
template <class T>
struct Describe<const T*> {
    static constexpr Parameter value = {'p', sizeof(T*), kind<T>, size<T>, 1};
};
template <class T, size_t n>  // T name[][n]: a pointer to rows
struct Describe<T (*)[n]> : Describe<T*> {};
template <class T, size_t n>
struct Describe<const T (*)[n]> : Describe<const T*> {};
template <class T>
struct Describe<volatile T*> : Describe<T*> {};
template <class T>
struct Describe<const volatile T*> : Describe<const T*> {};
template <class T>
struct Describe<T* __restrict> : Describe<T*> {};
template <class F>
struct Kernel;
template <class... P>
struct Kernel<void (*)(P...)> {
    static constexpr Parameter parameters[] = {Describe<P>::value..., {0, 0, 0, 0, 0}};
};
template <class T>
struct Same {
    typedef T type;
};
template <int...>
struct Indices {};
template <int n, int... i>
struct Count : Count<n - 1, n - 1, i...> {};
template <int... i>
struct Count<0, i...> {
    typedef Indices<i...> type;
};
template <class... P, int... i>
CUDASIM_UNSEEN static void call(void (*kernel)(P...), void** arguments, Indices<i...>) {
    kernel(*(typename Same<P>::type*)arguments[i]...);
}
template <class... P>
CUDASIM_UNSEEN static void call(void (*kernel)(P...), void** arguments) {
    call(kernel, arguments, typename Count<sizeof...(P)>::type());
}
}  // namespace cudasim
#define CUDASIM_KERNEL(name)                                                          \
    CUDASIM_SHOWN CUDASIM_UNSEEN void cudasim_call_##name(void** cudasim_arguments) { \
        cudasim::call(&name, cudasim_arguments);                                      \
    }                                                                                 \
    CUDASIM_SHOWN const cudasim::Parameter* cudasim_parameters_##name() {             \
        return cudasim::Kernel<decltype(&name)>::parameters;                          \
    }
#define CUDASIM_SHOWN extern "C" __attribute__((visibility("default")))
