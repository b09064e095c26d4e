// The first rung of the ladder: a convolution as its formula stands. One thread for each number of
// the result, which reads all that it needs from global memory, for itself alone.

// x (images, groups * channels, *big), w (groups * filters, channels, *kernel)
// -> y (images, groups * filters, *small)
extern "C" __global__ void conv_direct(const real* x, const real* w, real* y, Geometry g,
                                       int images, int groups, int channels, int filters) {
    const int pixels = g.big[0] * g.big[1] * g.big[2];
    const int taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
    const int positions = g.small[0] * g.small[1] * g.small[2];
    FOR_EACH(number, (long long)images * groups * filters * positions) {
        const int o = (int)(number % positions), o0 = o / g.small[2] / g.small[1];
        const int o1 = o / g.small[2] % g.small[1], o2 = o % g.small[2];
        const long long n = number / positions / (groups * filters);
        const int f = (int)(number / positions % (groups * filters));
        const real* image = x + (n * groups + f / filters) * channels * pixels;
        const real* weight = w + (long long)f * channels * taps;
        real sum = 0;
        for (int c = 0; c < channels; ++c, image += pixels)
            for (int t0 = 0; t0 < g.kernel[0]; ++t0)
                for (int t1 = 0; t1 < g.kernel[1]; ++t1)
                    for (int t2 = 0; t2 < g.kernel[2]; ++t2, ++weight) {
                        const int i = o0 * g.stride[0] + t0 * g.dilation[0] - g.padding[0];
                        const int j = o1 * g.stride[1] + t1 * g.dilation[1] - g.padding[1];
                        const int k = o2 * g.stride[2] + t2 * g.dilation[2] - g.padding[2];
                        if (i >= 0 && i < g.big[0] && j >= 0 && j < g.big[1] && k >= 0 &&
                            k < g.big[2])  // elsewhere is padding, which is zero
                            sum += *weight * image[(i * g.big[1] + j) * g.big[2] + k];
                    }
        y[number] = sum;
    }
}
