// Sliding windows: unfold and fold, and pooling. Each channel of each image of the batch is an
// image here: `images` = N * C.
//
// Nothing is scattered: where windows overlap, each pixel adds up, in the order of the taps, what
// the windows have for it. So every number has one writer and one order.

__device__ inline int volume(const int size[3]) { return size[0] * size[1] * size[2]; }

// The three indices of an element of a grid in C order.
__device__ inline void unravel(int element, const int size[3], int at[3]) {
    at[2] = element % size[2];
    at[1] = element / size[2] % size[1];
    at[0] = element / size[2] / size[1];
}

// visit(pixel) for the pixels that the window at a position covers, in C order, without padding.
template <class Visit>
__device__ inline void for_pixels(const Geometry& g, int position, Visit visit) {
    int o[3];
    unravel(position, g.small, o);
    for (int i = 0; i < g.kernel[0]; ++i) {
        const int z = o[0] * g.stride[0] + i * g.dilation[0] - g.padding[0];
        if (z < 0 || z >= g.big[0]) continue;
        for (int j = 0; j < g.kernel[1]; ++j) {
            const int y = o[1] * g.stride[1] + j * g.dilation[1] - g.padding[1];
            if (y < 0 || y >= g.big[1]) continue;
            for (int k = 0; k < g.kernel[2]; ++k) {
                const int x = o[2] * g.stride[2] + k * g.dilation[2] - g.padding[2];
                if (x < 0 || x >= g.big[2]) continue;
                visit((z * g.big[1] + y) * g.big[2] + x);
            }
        }
    }
}

// At which position along an axis a tap meets a pixel; -1 if at none.
__device__ inline int meeting(const Geometry& g, int axis, int pixel, int tap) {
    const int way = pixel + g.padding[axis] - tap * g.dilation[axis];
    const int o = way / g.stride[axis];
    return way >= 0 && o * g.stride[axis] == way && o < g.small[axis] ? o : -1;
}

// visit(t, position) for the taps t that meet a pixel, in C order, and where they do.
template <class Visit>
__device__ inline void for_windows(const Geometry& g, int pixel, Visit visit) {
    int at[3];
    unravel(pixel, g.big, at);
    for (int i = 0; i < g.kernel[0]; ++i) {
        const int z = meeting(g, 0, at[0], i);
        if (z < 0) continue;
        for (int j = 0; j < g.kernel[1]; ++j) {
            const int y = meeting(g, 1, at[1], j);
            if (y < 0) continue;
            for (int k = 0; k < g.kernel[2]; ++k) {
                const int x = meeting(g, 2, at[2], k);
                if (x < 0) continue;
                visit((i * g.kernel[1] + j) * g.kernel[2] + k,
                      (z * g.small[1] + y) * g.small[2] + x);
            }
        }
    }
}

// x (images, *big) -> cols (images, *kernel, *small): the pixel that each tap meets at each
// position, `fill` in the padding.
extern "C" __global__ void unfold(const real* x, real* cols, Geometry g, real fill, int images) {
    const int pixels = volume(g.big), positions = volume(g.small), taps = volume(g.kernel);
    FOR_ELEMENT(i, taps * positions) {
        int o[3], t[3], pixel = 0;
        bool inside = true;
        unravel(i % positions, g.small, o);
        unravel(i / positions, g.kernel, t);
        for (int axis = 0; axis < 3; ++axis) {
            const int p = o[axis] * g.stride[axis] + t[axis] * g.dilation[axis] - g.padding[axis];
            inside = inside && p >= 0 && p < g.big[axis];
            pixel = pixel * g.big[axis] + p;
        }
        FOR_IMAGES(k, images)
            cols[k * taps * positions + i] = inside ? x[k * pixels + pixel] : fill;
    }
}

// The transpose of unfold: each pixel adds up its columns.
extern "C" __global__ void fold(const real* cols, real* x, Geometry g, int images) {
    const int pixels = volume(g.big), positions = volume(g.small), taps = volume(g.kernel);
    FOR_ELEMENT(pixel, pixels) FOR_IMAGES(k, images) {
        real sum = 0;
        for_windows(g, pixel, [&](int t, int o) { sum += cols[(k * taps + t) * positions + o]; });
        x[k * pixels + pixel] = sum;
    }
}

// x (images, *big) -> y (images, *small): the sum of the pixels in each window.
extern "C" __global__ void window_sums(const real* x, real* y, Geometry g, int images) {
    const int pixels = volume(g.big), positions = volume(g.small);
    FOR_ELEMENT(o, positions) FOR_IMAGES(k, images) {
        real sum = 0;
        for_pixels(g, o, [&](int pixel) { sum += x[k * pixels + pixel]; });
        y[k * positions + o] = sum;
    }
}

// The transpose of window_sums: each pixel adds up the windows that cover it.
extern "C" __global__ void window_spread(const real* y, real* x, Geometry g, int images) {
    const int pixels = volume(g.big), positions = volume(g.small);
    FOR_ELEMENT(pixel, pixels) FOR_IMAGES(k, images) {
        real sum = 0;
        for_windows(g, pixel, [&](int, int o) { sum += y[k * positions + o]; });
        x[k * pixels + pixel] = sum;
    }
}

// x (images, *big) -> indices (images, *small): the largest pixel of each window. The first of
// equal ones wins, the first NaN over all; a window of padding alone has 0.
extern "C" __global__ void max_pool_indices(const real* x, long long* indices, Geometry g,
                                            int images) {
    const int pixels = volume(g.big), positions = volume(g.small);
    FOR_ELEMENT(o, positions) FOR_IMAGES(k, images) {
        int best = 0;
        real largest = 0;
        bool none = true;
        for_pixels(g, o, [&](int pixel) {
            const real value = x[k * pixels + pixel];
            if (none || (!(value <= largest) && largest == largest)) {
                best = pixel;
                largest = value;
                none = false;
            }
        });
        indices[k * positions + o] = best;
    }
}

// y, index (images, *small) -> x (images, *big): each pixel adds up y of the windows that have
// picked it. `index` are positions in x as a whole.
extern "C" __global__ void window_put(const real* y, const long long* index, real* x, Geometry g,
                                      int images) {
    const int pixels = volume(g.big), positions = volume(g.small);
    FOR_ELEMENT(pixel, pixels) FOR_IMAGES(k, images) {
        real sum = 0;
        for_windows(g, pixel, [&](int, int o) {
            if (index[k * positions + o] == k * pixels + pixel) sum += y[k * positions + o];
        });
        x[k * pixels + pixel] = sum;
    }
}
