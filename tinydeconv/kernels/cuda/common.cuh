// In front of every other file of this folder. `real` is float or double: -Dreal=...

// A convolution over three spatial axes (fewer: sizes of 1 in front), as ConvGeometry has it. Tap t
// at position o of the small side meets o * stride + t * dilation - padding on the big side.
struct Geometry {
    int big[3], small[3], kernel[3], stride[3], dilation[3], padding[3];
};

// A loop over 0 .. n - 1 that all threads of a one-dimensional grid share.
#define FOR_EACH(i, n)                                                          \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; \
         i += (long long)blockDim.x * gridDim.x)

// For kernels that do the same in many images: a thread has one element, whose place inside an
// image it finds once and in 32 bits, and goes from image to image.
#define FOR_ELEMENT(i, n)                                       \
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x); \
    if (i < n)
#define FOR_IMAGES(k, images)                                             \
    for (long long k = blockIdx.y * blockDim.y + threadIdx.y; k < images; \
         k += gridDim.y * blockDim.y)
