// Activations and their gradients, one number after the other: y = f(x), and what a gradient g of y
// makes of x. Where the slope is easier to tell from y than from x, it is y that is read.

extern "C" __global__ void relu_grad(const real* g, const real* y, real* gx, long long n) {
    FOR_EACH(i, n) gx[i] = g[i] * (y[i] != 0);  // 1 at a NaN
}

__device__ inline real leak(real x, real slope) { return x > 0 ? 1 : slope; }

extern "C" __global__ void leaky_relu(const real* x, real* y, real slope, long long n) {
    FOR_EACH(i, n) y[i] = x[i] * leak(x[i], slope);
}

extern "C" __global__ void leaky_relu_grad(
    const real* g, const real* x, real* gx, real slope, long long n) {
    FOR_EACH(i, n) gx[i] = g[i] * leak(x[i], slope);
}

extern "C" __global__ void sigmoid(const real* x, real* y, long long n) {
    FOR_EACH(i, n) y[i] = 1 / (1 + exp(-x[i]));
}

extern "C" __global__ void sigmoid_grad(const real* g, const real* y, real* gx, long long n) {
    FOR_EACH(i, n) gx[i] = g[i] * y[i] * (1 - y[i]);
}

extern "C" __global__ void tanh_grad(const real* g, const real* y, real* gx, long long n) {
    FOR_EACH(i, n) gx[i] = g[i] * (1 - y[i] * y[i]);
}

extern "C" __global__ void silu(const real* x, real* y, long long n) {
    FOR_EACH(i, n) y[i] = x[i] / (1 + exp(-x[i]));
}

extern "C" __global__ void silu_grad(const real* g, const real* x, real* gx, long long n) {
    FOR_EACH(i, n) {
        const real s = 1 / (1 + exp(-x[i]));
        gx[i] = g[i] * (s * (1 + x[i] * (1 - s)));
    }
}

// The probability that a standard normal number is below x.
__device__ inline real below(real x) { return (1 + erf(x / sqrt((real)2))) / 2; }

extern "C" __global__ void gelu(const real* x, real* y, long long n) {
    FOR_EACH(i, n) y[i] = x[i] * below(x[i]);
}

extern "C" __global__ void gelu_grad(const real* g, const real* x, real* gx, long long n) {
    const real density = 0.398942280401432678;  // of that number at 0: 1 / sqrt(2 pi)
    FOR_EACH(i, n) gx[i] = g[i] * (below(x[i]) + x[i] * exp(x[i] * x[i] / -2) * density);
}
