// Sparse sums: each number of the result adds up what belongs to it, in order.

// A sparse matrix applied along an axis: x (outer, n, inner) -> y (outer, size, inner). Row r has
// the entries starts[r] to starts[r + 1] - 1; what no entry names is not read.
extern "C" __global__ void resample(const real* x, real* y, const int* starts, const int* columns,
                                    const real* weights, int outer, int n, int size, int inner) {
    FOR_ELEMENT(i, size * inner) {
        const int row = i / inner, rest = i % inner;
        FOR_IMAGES(k, outer) {
            real sum = 0;
            for (int e = starts[row]; e < starts[row + 1]; ++e)
                sum += x[(k * n + columns[e]) * inner + rest] * weights[e];
            y[k * size * inner + i] = sum;
        }
    }
}

// y[p] = the sum of x[order[j]] over the j with positions[j] = p, of which there are n, in
// ascending order of p. Where a position begins, one thread adds it up, in double; y holds zeros.
extern "C" __global__ void add_runs(const real* x, const long long* order,
                                    const long long* positions, real* y, long long n) {
    FOR_EACH(i, n) {
        const long long p = positions[i];
        if (i == 0 || positions[i - 1] != p) {
            double sum = 0;
            for (long long j = i; j < n && positions[j] == p; ++j) sum += x[order[j]];
            y[p] = sum;
        }
    }
}
