// The steps of optimisers: a new array for the parameter p, whose own may be someone else's too,
// while what is kept of it is overwritten. See ../../optim/optimizers.py for the formulas.

// m and v follow g and g^2. `largest`, read and written with amsgrad alone, is the largest v so far.
// The Python side makes the numbers that no element changes: keep and take are beta and 1 - beta,
// shrink is 1 - lr * weight_decay where that is decoupled, `decay` weight_decay where it is not,
// scale and least make sqrt(v) * scale + least of (1 - beta1^t) * (sqrt(v / (1 - beta2^t)) + eps).
extern "C" __global__ void adam(
    const real* p, const real* g, real* moved, real* m, real* v, real* largest, real lr,
    real keep1, real take1, real keep2, real take2, real scale, real least, real shrink,
    real decay, int maximize, int amsgrad, long long n) {
    FOR_EACH(i, n) {
        const real here = p[i];
        real slope = maximize ? -g[i] : g[i];
        if (decay != 0) slope += decay * here;  // infinity times no decay would be NaN
        const real mean = keep1 * m[i] + take1 * slope;
        const real square = keep2 * v[i] + take2 * (slope * slope);
        const real most = amsgrad ? fmax(largest[i], square) : square;
        m[i] = mean, v[i] = square;
        if (amsgrad) largest[i] = most;
        moved[i] = shrink * here - lr * (mean / (sqrt(most) * scale + least));
    }
}

// The buffer, read and written with momentum alone, becomes momentum * buffer + take * g.
extern "C" __global__ void sgd(
    const real* p, const real* g, real* moved, real* buffer, real lr, real momentum, real take,
    real decay, int maximize, int nesterov, long long n) {
    FOR_EACH(i, n) {
        const real here = p[i];
        real slope = maximize ? -g[i] : g[i];
        if (decay != 0) slope += decay * here;
        if (momentum != 0) {
            buffer[i] = momentum * buffer[i] + take * slope;
            slope = nesterov ? slope + momentum * buffer[i] : buffer[i];
        }
        moved[i] = here - lr * slope;
    }
}
