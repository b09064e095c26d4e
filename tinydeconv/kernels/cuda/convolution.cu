// Convolution, its transpose and its weight gradient as matrix products whose right matrix, the
// patches of the images, is never in memory: a block gathers a tile of it when it multiplies it.
// (Implicit GEMM: Chetlur et al. 2014, "cuDNN: efficient primitives for deep learning".)
//
//                                   128
//                           +------------------+      a tile of the right matrix
//            depth ->     8 |   |   |   |   |  |  |
//                           +------------------+  v depth
//            +---+          +------------------+
//            |---|          |                  |      a tile of the result, `sum`, in registers
//         64 |---|          |                  | 64
//            |---|          |                  |
//            +---+          +------------------+
//              8                    128
//      a tile of the left
//
//                        rows                  columns               depth
//      conv              filters               positions             channels, taps
//      conv_transpose    channels              pixels of a phase     filters, taps that meet it
//      conv_weight       filters               channels, taps        positions
//
// rows and depth are those of a group, positions and pixels those of all images. A block has one
// tile of the result and goes along the depth in steps of 8. Each of its 128 threads keeps 8 x 8 of
// the sums, so that 16 numbers from shared memory serve 64 multiplications. No two threads add to
// the same number: the bits do not depend on who comes first.

constexpr int ROWS = 64, COLUMNS = 128, DEPTH = 8;   // of the tiles
constexpr int THREADS = 128;                         // of a block
constexpr int RESIDENT = sizeof(real) == 4 ? 3 : 1;  // blocks for whose registers there is room
constexpr int LINES = THREADS / DEPTH;  // rows, or columns, that the threads fetch at once, 8 deep
constexpr int OWN = 8, ACROSS = COLUMNS / OWN;  // sums of a thread, each way; threads side by side
constexpr int RUN = 4;    // columns of these that are neighbours: 16 bytes of float, read at once
constexpr int SPARE = 4;  // at the end of a line, or threads that fill a column would share a bank

using Left = real[DEPTH][ROWS + SPARE];
using Right = real[DEPTH][COLUMNS + SPARE];

__device__ inline int volume(const int (&size)[3]) { return size[0] * size[1] * size[2]; }

__device__ inline int dot(const int* a, const int* b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

// A place in a box of four axes, the last one fastest, that advances by the same number of places
// each time, digit by digit with a carry: a division costs a GPU some twenty instructions.
struct Odometer {
    int at[4], step[4], size[4];

    __device__ Odometer(const int (&box)[3], long long start, int by)
        : size{0, box[0], box[1], box[2]} {
        const int inside = volume(box);
        at[0] = (int)(start / inside);
        read((int)(start % inside), at);
        step[0] = by / inside;
        read(by % inside, step);
    }

    __device__ void read(int number, int (&digits)[4]) {
        for (int axis = 3; axis > 0; number /= size[axis--]) digits[axis] = number % size[axis];
    }

    __device__ void advance() {
        int carry = 0;
        for (int axis = 3; axis > 0; --axis) {
            at[axis] += step[axis] + carry;
            carry = at[axis] >= size[axis];
            at[axis] -= carry * size[axis];
        }
        at[0] += step[0] + carry;
    }
};

// How far a position (o * stride - padding) or a tap (t * dilation) is from the first pixel, along
// the axes and in memory. A position and a tap meet the pixel at the sum of the two.
struct alignas(16) Shift {
    int along[3], memory;
};

constexpr int NOWHERE = -(1 << 30);  // along[0] of a shift that leads out of any image

// at: image, o
__device__ inline Shift shift_of_position(const Geometry& g, const int (&at)[4]) {
    Shift shift{};
    for (int axis = 0; axis < 3; ++axis) {
        shift.along[axis] = at[axis + 1] * g.stride[axis] - g.padding[axis];
        shift.memory = shift.memory * g.big[axis] + shift.along[axis];
    }
    return shift;
}

// at: channel, t
__device__ inline Shift shift_of_tap(const Geometry& g, const int (&at)[4], int channels) {
    Shift shift{{}, at[0]};
    for (int axis = 0; axis < 3; ++axis) {
        shift.along[axis] = at[axis + 1] * g.dilation[axis];
        shift.memory = shift.memory * g.big[axis] + shift.along[axis];
    }
    if (at[0] >= channels) shift.along[0] = NOWHERE;
    return shift;
}

// The pixel of an image that a position and a tap meet: zero outside, in the padding.
__device__ inline real pixel(const real* image, Shift a, Shift b, const Geometry& g) {
    bool inside = true;
    for (int axis = 0; axis < 3; ++axis)  // without its sign, what is below zero is large
        inside &= (unsigned)(a.along[axis] + b.along[axis]) < (unsigned)g.big[axis];
    const real* place = image + (a.memory + b.memory);
    return inside ? *place : real(0);
}

// Which tile of the result a block has. Blocks with successive numbers run at the same time: so
// those come together that share patches, or lines of the result, and find them in the cache.
struct Block {
    int row, phase, group, part;  // the first row; a phase of conv_transpose; a part of the depth
    long long column;             // the first one

    __device__ Block(int rows, int phases, long long columns, int groups) {
        const int down = (rows + ROWS - 1) / ROWS;
        const int across = (int)((columns + COLUMNS - 1) / COLUMNS);
        int rest = blockIdx.x;
        row = rest % down * ROWS, rest /= down;
        phase = rest % phases, rest /= phases;
        column = rest % across * (long long)COLUMNS, rest /= across;
        group = rest % groups, part = rest / groups;
    }
};

// The rows and columns of the tile whose sums a thread keeps. Its columns are two runs of 4: so the
// 16 threads side by side read whole lines of shared memory, each bank once.
__device__ inline int own_row(int i) { return threadIdx.x / ACROSS * OWN + i; }
__device__ inline int own_column(int j) {
    return j / RUN * RUN * ACROSS + threadIdx.x % ACROSS * RUN + j % RUN;
}

// sum[i][j] += left[own_row(i)][k] * right[k][own_column(j)] over k < depth. `tiles` fetches the
// next tiles into registers, a share in each thread, and puts them into shared memory.
template <class Tiles>
__device__ inline void multiply(Tiles& tiles, int depth, real (&sum)[OWN][OWN]) {
    alignas(16) __shared__ Left left[2];  // two, in turn
    alignas(16) __shared__ Right right[2];
    tiles.fetch(1);
    for (int from = 0, turn = 0; from < depth; from += DEPTH, turn ^= 1) {
        tiles.put(left[turn], right[turn], turn);
        // The tiles are whole only when every thread has put its share. One barrier a step is
        // enough: who runs ahead puts the next tiles elsewhere, and those after them only behind
        // the next barrier, where nobody reads the present ones any more.
        __syncthreads();
        tiles.fetch(turn);  // the next tiles are on their way while these are multiplied
#pragma unroll
        for (int k = 0; k < DEPTH; ++k) {
            real a[OWN], b[OWN];
            for (int i = 0; i < OWN; ++i) a[i] = left[turn][k][own_row(i)];
            for (int j = 0; j < OWN; ++j) b[j] = right[turn][k][own_column(j)];
            for (int i = 0; i < OWN; ++i)
                for (int j = 0; j < OWN; ++j) sum[i][j] += a[i] * b[j];
        }
    }
}

// ---- conv, and each phase of conv_transpose ----

// An array of five axes, of which the last three are spatial, as it lies in memory.
template <class Number>
struct View {
    Number* data;
    long long outer;     // from one number to the next along the first axis,
    int inner, step[3];  // along the second, and along the others

    __device__ View(Number* data, long long outer, int inner, const int (&size)[3])
        : data(data), outer(outer), inner(inner), step{size[1] * size[2], size[2], 1} {}
};

// For one group, summed over c < channels and t in g.kernel, for o in g.small:
//     out[n, row, o] = w[row, c, t] * in[n, c, o * stride + t * dilation - padding]
struct Correlation {
    Geometry g;
    int images, channels, rows;
    View<const real> in, w;
    View<real> out;
};

struct CorrelationTiles {
    const Correlation& c;
    const int rows;  // from this thread's first one on
    Odometer tap;    // channel and tap of the weights that the thread fetches next
    const real *w, *image;
    Shift position;           // of the thread's column
    Shift (&taps)[2][DEPTH];  // in shared memory: those of the next step, in turn
    real left[ROWS / LINES], right[DEPTH];

    // Of the left tile a thread fetches rows LINES apart, 8 deep with its neighbours, as weights
    // lie in memory. Of the right tile it fetches a column, beside those of its neighbours, as
    // pixels do.
    __device__ CorrelationTiles(const Correlation& c, const Block& block, Shift (&taps)[2][DEPTH])
        : c(c),
          rows(c.rows - block.row - (int)threadIdx.x / DEPTH),
          tap(c.g.kernel, threadIdx.x % DEPTH, DEPTH),
          w(c.w.data + (block.row + threadIdx.x / DEPTH) * c.w.outer),
          taps(taps) {
        const Odometer place(c.g.small, block.column + threadIdx.x, 0);
        image = c.in.data + place.at[0] * c.in.outer;
        position = shift_of_position(c.g, place.at);
        if (place.at[0] >= c.images) position.along[0] = NOWHERE;
        put_taps(1);
        __syncthreads();  // before a thread fetches: by the taps that others have put
    }

    __device__ void put_taps(int turn) {
        const Shift shift = shift_of_tap(c.g, tap.at, c.channels);
        if (threadIdx.x < DEPTH) taps[turn][threadIdx.x] = shift;
    }

    __device__ void fetch(int turn) {
        const int depth = tap.at[0] * c.w.inner + dot(tap.at + 1, c.w.step);
        for (int i = 0; i < ROWS / LINES; ++i) {
            const bool inside = i * LINES < rows && tap.at[0] < c.channels;
            left[i] = inside ? w[i * LINES * (int)c.w.outer + depth] : real(0);
        }
        tap.advance();
        for (int k = 0; k < DEPTH; ++k) right[k] = pixel(image, position, taps[turn][k], c.g);
    }

    __device__ void put(Left& a, Right& b, int turn) {
        const int line = threadIdx.x / DEPTH;
        for (int i = 0; i < ROWS / LINES; ++i) a[threadIdx.x % DEPTH][line + i * LINES] = left[i];
        for (int k = 0; k < DEPTH; ++k) b[k][threadIdx.x] = right[k];
        put_taps(turn);
    }
};

__device__ inline void correlate(const Correlation& c, const Block& block) {
    __shared__ Shift taps[2][DEPTH];
    real sum[OWN][OWN] = {};
    CorrelationTiles tiles(c, block, taps);
    multiply(tiles, c.channels * volume(c.g.kernel), sum);
    for (int run = 0; run < OWN; run += RUN) {
        Odometer place(c.g.small, block.column + own_column(run), 1);
        for (int j = run; j < run + RUN; ++j, place.advance()) {
            real* out = c.out.data + place.at[0] * c.out.outer + dot(place.at + 1, c.out.step);
            for (int i = 0; i < OWN; ++i) {
                const int row = block.row + own_row(i);
                if (row < c.rows && place.at[0] < c.images) out[row * c.out.inner] = sum[i][j];
            }
        }
    }
}

// x (images, groups * channels, *big), w (groups * filters, channels, *kernel)
// -> y (images, groups * filters, *small)
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) conv(
    const real* x, const real* w, real* y, Geometry g,
    int images, int groups, int channels, int filters) {
    const int pixels = volume(g.big), positions = volume(g.small), taps = volume(g.kernel);
    const Block block(filters, 1, (long long)images * positions, groups);
    const long long image = (long long)channels * pixels, features = (long long)filters * positions;
    const int filter = channels * taps;
    correlate({g, images, channels, filters,
               {x + block.group * image, groups * image, pixels, g.big},
               {w + (long long)block.group * filters * filter, filter, taps, g.kernel},
               {y + block.group * features, groups * features, positions, g.small}},
              block);
}

// y (images, groups * filters, *small), w (groups * filters, channels, *kernel)
// -> x (images, groups * channels, *big)
//
// Along an axis, the pixels first, first + stride, ... are a phase: they are all met by the same
// taps t0, t0 + every, ... and by no other. So a phase is a correlation, of stride 1, of y with
// these taps alone: pixel first + q * stride and tap t0 + m * every meet at the position
//     q - m * (every * dilation / stride) + (first + padding - t0 * dilation) / stride
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) conv_transpose(
    const real* y, const real* w, real* x, Geometry g,
    int images, int groups, int channels, int filters) {
    const int pixels = volume(g.big), positions = volume(g.small), taps = volume(g.kernel);
    int phases = 1;
    long long columns = images;  // of the first phase: no other has more
    for (int axis = 0; axis < 3; ++axis) {
        phases *= min(g.stride[axis], g.big[axis]);
        columns *= (g.big[axis] + g.stride[axis] - 1) / g.stride[axis];
    }
    const Block block(channels, phases, columns, groups);
    const long long image = (long long)channels * pixels, features = (long long)filters * positions;
    const int filter = channels * taps;
    Correlation c{g, images, filters, channels,
                  {y + block.group * features, groups * features, positions, g.small},
                  {w + (long long)block.group * filters * filter, taps, filter, g.kernel},
                  {x + block.group * image, groups * image, pixels, g.big}};
    for (int axis = 0, rest = block.phase; axis < 3; ++axis) {
        const int stride = g.stride[axis], dilation = g.dilation[axis];
        const int first = rest % min(stride, g.big[axis]), start = first + g.padding[axis];
        rest /= min(stride, g.big[axis]);
        int t0 = 0, every = 0, met = 0;
        for (int t = 0; t < g.kernel[axis]; ++t) {
            if ((start - t * dilation) % stride != 0) continue;  // t meets none of these pixels
            if (met == 0) t0 = t;
            if (met == 1) every = t - t0;
            ++met;
        }
        if (met == 0) c.channels = 0;  // nothing to sum: the pixels are zero
        c.g.big[axis] = g.small[axis];
        c.g.small[axis] = (g.big[axis] - first + stride - 1) / stride;
        c.g.kernel[axis] = max(met, 1);
        c.g.stride[axis] = 1;
        c.g.dilation[axis] = -(every * dilation / stride);
        c.g.padding[axis] = -((start - t0 * dilation) / stride);
        c.w.data += t0 * c.w.step[axis];
        c.w.step[axis] *= every;
        c.out.data += first * c.out.step[axis];
        c.out.step[axis] *= stride;
    }
    correlate(c, block);
}

// ---- conv_weight ----

struct WeightTiles {
    const Geometry& g;
    const real *x, *y;                // of the group, and y from the first row of the tile on
    const long long image, features;  // from one image to the next, and in y
    const int rows;                   // from the first one of the tile on
    int depth;                        // from the thread's position on
    Odometer place;                   // the position that the thread fetches next
    const Shift* taps;                // in shared memory: those of the tile's columns
    real left[ROWS / LINES], right[COLUMNS / LINES];

    // Of both tiles a thread fetches lines LINES apart, 8 deep with its neighbours, as features and
    // pixels lie in memory.
    __device__ void fetch(int) {
        const int positions = volume(g.small), line = threadIdx.x / DEPTH;
        const int o = (place.at[1] * g.small[1] + place.at[2]) * g.small[2] + place.at[3];
        for (int i = 0; i < ROWS / LINES; ++i) {
            const bool inside = line + i * LINES < rows && depth > 0;
            const real* there = y + place.at[0] * features + (line + i * LINES) * positions + o;
            left[i] = inside ? *there : real(0);
        }
        Shift position = shift_of_position(g, place.at);
        if (depth <= 0) position.along[0] = NOWHERE;
        for (int j = 0; j < COLUMNS / LINES; ++j)
            right[j] = pixel(x + place.at[0] * image, position, taps[line + j * LINES], g);
        place.advance();
        depth -= DEPTH;
    }

    __device__ void put(Left& a, Right& b, int) {
        const int k = threadIdx.x % DEPTH, line = threadIdx.x / DEPTH;
        for (int i = 0; i < ROWS / LINES; ++i) a[k][line + i * LINES] = left[i];
        for (int j = 0; j < COLUMNS / LINES; ++j) b[k][line + j * LINES] = right[j];
    }
};

// x (images, groups * channels, *big), y (images, groups * filters, *small)
// -> w (parts, groups * filters, channels, *kernel)
//
// The depth is long and the tiles are few: so it is cut into parts of `share` positions, each for
// blocks of its own. add_parts adds up what they give.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) conv_weight(
    const real* x, const real* y, real* w, Geometry g,
    int images, int groups, int channels, int filters, int share) {
    __shared__ Shift taps[COLUMNS];
    const int pixels = volume(g.big), positions = volume(g.small);
    const int columns = channels * volume(g.kernel);
    const Block block(filters, 1, columns, groups);
    const Odometer tap(g.kernel, block.column + threadIdx.x, 0);
    taps[threadIdx.x] = shift_of_tap(g, tap.at, channels);
    __syncthreads();  // before a thread fetches: by the taps of all threads

    const long long image = (long long)channels * pixels, features = (long long)filters * positions;
    const long long start = block.part * (long long)share;
    const int depth = (int)min((long long)share, (long long)images * positions - start);
    const int ahead = threadIdx.x % DEPTH;
    x += block.group * image;
    y += block.group * features + (long long)block.row * positions;
    WeightTiles tiles{g, x, y, groups * image, groups * features, filters - block.row,
                      depth - ahead, Odometer(g.small, start + ahead, DEPTH), taps};
    real sum[OWN][OWN] = {};
    multiply(tiles, depth, sum);

    w += ((long long)block.part * groups + block.group) * filters * columns;
    for (int i = 0; i < OWN; ++i)
        for (int j = 0; j < OWN; ++j) {
            const int row = block.row + own_row(i), column = (int)block.column + own_column(j);
            if (row < filters && column < columns) w[row * columns + column] = sum[i][j];
        }
}

// parts (count, n) -> sum (n), in order, as rounding depends on it.
extern "C" __global__ void add_parts(const real* parts, real* sum, int count, long long n) {
    FOR_EACH(i, n) {
        real total = 0;
        for (int part = 0; part < count; ++part) total += parts[part * n + i];
        sum[i] = total;
    }
}
