// Sums of table rows and their maximum over each word, without an array of positions.
// They compute what `max_sums` in conv_table.py computes, and use its names.
//
// A block computes one word and a thread one filter: neighbouring threads read neighbouring columns.

extern "C" __global__ void max_sums(
    const float* __restrict__ T,     // (nV * window + 1, nO)
    const int* __restrict__ chars,   // (nC,)
    const int* __restrict__ starts,  // (nW,): where each word starts among the characters
    const int* __restrict__ lengths, // (nW,)
    int nW, int nO, int window,
    float* __restrict__ Y,           // (nW, nO)
    int* __restrict__ which)         // (nW, nO): the position of the maximum within the word
{
    for (int w = blockIdx.x; w < nW; w += gridDim.x) {
        const int* word = chars + starts[w];
        const int length = lengths[w];
        for (int o = threadIdx.x; o < nO; o += blockDim.x) {
            float best = 0.0f;
            int at = 0;
            for (int p = 0; p < length; ++p) {
                float sum = 0.0f;
                for (int tap = 0; tap < window; ++tap) {
                    const int seen = p + tap - window / 2;
                    if (seen >= 0 && seen < length)
                        sum += T[(word[seen] * window + tap) * nO + o];
                }
                // The first of equal sums wins. NaN always wins, so that it is not hidden.
                if (p == 0 || sum > best || (sum != sum && best == best)) {
                    best = sum;
                    at = p;
                }
            }
            Y[w * nO + o] = best;
            which[w * nO + o] = at;
        }
    }
}

extern "C" __global__ void backprop_max_sums(
    const float* __restrict__ dY,    // (nW, nO)
    const int* __restrict__ which,   // (nW, nO)
    const int* __restrict__ chars,
    const int* __restrict__ starts,
    const int* __restrict__ lengths,
    int nW, int nO, int window,
    float* dT)                       // (nV * window + 1, nO), zeros
{
    for (int w = blockIdx.x; w < nW; w += gridDim.x) {
        const int* word = chars + starts[w];
        const int length = lengths[w];
        for (int o = threadIdx.x; o < nO; o += blockDim.x) {
            const float gradient = dY[w * nO + o];
            const int p = which[w * nO + o];
            for (int tap = 0; tap < window; ++tap) {
                const int seen = p + tap - window / 2;
                if (seen >= 0 && seen < length)
                    atomicAdd(&dT[(word[seen] * window + tap) * nO + o], gradient);
            }
        }
    }
}
