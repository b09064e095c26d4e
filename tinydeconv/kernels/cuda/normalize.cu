// Normalisation. An array is seen as (outer, channels, inner), in C order: a channel is the numbers
// at one middle index, which have a mean and a variance. Batch norm: (N, C, pixels); layer norm:
// (1, rows, row); instance norm: (1, N * C, pixels).
//
// Block (c, k) of a grid (channels, parts) is the k-th of those that share channel c. What is summed
// has one block a channel: always the same numbers in the same order, so the same bits.

#define THREADS 512  // in a block that sums: a power of 2
#define AHEAD 4      // numbers that such a thread fetches at once: waiting for memory is slow

// The walk of a thread through its share of a channel: it is at a pixel of an image (of `inner` and
// `outer`), and a step goes so many images and pixels on. It divides once; then it only adds.
struct Walk {
    unsigned image, pixel, images, pixels, outer, inner;
    long long channels;

    __device__ Walk(int outer, int channels, int inner)
        : outer(outer), inner(inner), channels(channels) {
        const unsigned first = blockIdx.y * blockDim.x + threadIdx.x, all = gridDim.y * blockDim.x;
        image = first / inner, pixel = first % inner;
        images = all / inner, pixels = all % inner;
    }
    __device__ bool inside() const { return image < outer; }
    __device__ long long place() const { return (image * channels + blockIdx.x) * inner + pixel; }
    __device__ void step() {
        image += images, pixel += pixels;
        if (pixel >= inner) pixel -= inner, ++image;
    }
};

// Adds up a and b over the threads of a block, into those of thread 0. Half of the threads take
// over the sums of the other half, then half of these, and so on.
__device__ void add_up(double& a, double& b) {
    __shared__ double as[THREADS], bs[THREADS];
    const int t = threadIdx.x;
    as[t] = a, bs[t] = b;
    for (int half = THREADS / 2; half >= 1; half /= 2) {
        __syncthreads();
        if (t < half) as[t] += as[t + half], bs[t] += bs[t + half];
    }
    if (t == 0) a = as[0], b = bs[0];
}

// The mean and the variance (biased) of each channel, and the scale 1 / sqrt(var + eps), going
// through it once.
//
// What is summed are distances from the channel's first number and their squares (Chan, Golub &
// LeVeque 1983, on shifted data). That number is among those whose variance is wanted, so however
// far away it is, n numbers lose a factor n of precision at most, and these sums are in double.
extern "C" __global__ void moments(
    const real* x, real* mean, real* var, real* scale, real eps, int outer, int channels,
    int inner) {
    const real origin = x[(long long)blockIdx.x * inner];
    double sum = 0, squares = 0;
    for (Walk walk(outer, channels, inner); walk.inside();) {
        real d[AHEAD];
        for (int k = 0; k < AHEAD; ++k, walk.step())
            d[k] = walk.inside() ? x[walk.place()] - origin : 0;
        for (int k = 0; k < AHEAD; ++k) sum += d[k], squares += (double)d[k] * d[k];
    }
    add_up(sum, squares);
    if (threadIdx.x == 0) {
        const double n = (double)outer * inner, spread = (squares - sum * sum / n) / n;
        mean[blockIdx.x] = origin + sum / n;
        var[blockIdx.x] = spread;
        scale[blockIdx.x] = 1 / sqrt(spread + eps);
    }
}

// y = (x - mean) * scale * w + b. There are `ws` numbers w for the channels, in turn: one
// each, one for all, or one for each channel of an image; and `bs` numbers b.
extern "C" __global__ void normalize(
    const real* x, const real* mean, const real* scale, const real* w, const real* b, real* y,
    int ws, int bs, int outer, int channels, int inner) {
    const int c = blockIdx.x;
    const real middle = mean[c], slope = scale[c] * w[c % ws], shift = b[c % bs];
    for (Walk walk(outer, channels, inner); walk.inside(); walk.step())
        y[walk.place()] = (x[walk.place()] - middle) * slope + shift;
}

// From the gradient g of y those of w and b, one a channel: sums of g * (x - mean) * scale and of g.
extern "C" __global__ void normalize_sums(
    const real* g, const real* x, const real* mean, const real* scale, real* gw, real* gb,
    int outer, int channels, int inner) {
    const int c = blockIdx.x;
    const real middle = mean[c];
    double products = 0, sum = 0;
    for (Walk walk(outer, channels, inner); walk.inside();) {
        real slope[AHEAD], d[AHEAD];
        for (int k = 0; k < AHEAD; ++k, walk.step()) {
            slope[k] = walk.inside() ? g[walk.place()] : 0;
            d[k] = walk.inside() ? x[walk.place()] - middle : 0;
        }
        for (int k = 0; k < AHEAD; ++k) products += (double)slope[k] * d[k], sum += slope[k];
    }
    add_up(products, sum);
    if (threadIdx.x == 0) gw[c] = products * scale[c], gb[c] = sum;
}

// From g and those sums the gradient of x: the mean and the variance follow x (Ioffe & Szegedy
// 2015, section 3).
extern "C" __global__ void normalize_grad(
    const real* g, const real* x, const real* mean, const real* scale, const real* w,
    const real* gw, const real* gb, real* gx, int ws, int outer, int channels, int inner) {
    const int c = blockIdx.x;
    const real n = (real)outer * inner, middle = mean[c], shift = gb[c] / n;
    const real turn = gw[c] * scale[c] / n, slope = scale[c] * w[c % ws];
    for (Walk walk(outer, channels, inner); walk.inside(); walk.step()) {
        const long long i = walk.place();
        gx[i] = (g[i] - shift - (x[i] - middle) * turn) * slope;
    }
}

// The running statistics of the channels move to those of a batch, by `momentum`: to the means over
// its images, where each of these has its own. `unbiased` turns the biased variance into the other.
extern "C" __global__ void follow(
    const real* mean, const real* var, const real* old_mean, const real* old_var, real* new_mean,
    real* new_var, real momentum, real unbiased, int images, int channels) {
    FOR_EACH(c, channels) {
        real middle = 0, spread = 0;
        for (int image = 0; image < images; ++image) {
            middle += mean[image * (long long)channels + c];
            spread += var[image * (long long)channels + c];
        }
        new_mean[c] = old_mean[c] + momentum * (middle / images - old_mean[c]);
        new_var[c] = old_var[c] + momentum * (spread / images * unbiased - old_var[c]);
    }
}
