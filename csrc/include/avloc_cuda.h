// The kernels of avloc on CUDA: plain C ABI, device pointers, sizes and a stream, no torch header.
//
// Every function queues its work on the stream and returns at once: 0, or the CUDA error of a launch.
// Arrays are contiguous and on the device. Values are not checked but by avloc_cuda_proposals: what is wrong
// gives NaN or nonsense, never an access out of bounds. The definitions are those of avloc/ops/reference.py.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

const char* avloc_cuda_error(int error);

// Segments (n, 2) and scores (n,) in double precision; *is_wrong becomes 1 where a segment is not finite,
// ends before it starts or is of infinite length, or a score is NaN, or not a finite number from 0 on where
// `soft`.
int avloc_cuda_proposals_f32(
    const float* segments, const float* scores, int64_t n, int32_t soft, double* times, double* values,
    int64_t* is_wrong, void* stream);
int avloc_cuda_proposals_f64(
    const double* segments, const double* scores, int64_t n, int32_t soft, double* times, double* values,
    int64_t* is_wrong, void* stream);

// splits: (n_recordings + 1,), rising from 0 to n. recording[i]: the one that owns row rows[i].
int avloc_cuda_recordings(
    const int64_t* splits, int64_t n_recordings, const int64_t* rows, int64_t n, int32_t* recording,
    void* stream);

// picked[i] = values[places[i]].
int avloc_cuda_pick(const int64_t* values, const int64_t* places, int64_t n, int64_t* picked, void* stream);

// order: (n,) rows of times by recording, in score order inside; largest: rows of the largest recording.
// kept: (n,) rows, those of recording r from kept[splits[r]] on; counts: (n_recordings,), zero on entry.
// kept_times: (n, 2) and dropped: (n,), zero on entry, are scratch.
int avloc_cuda_segment_nms(
    const double* times, const int64_t* order, const int64_t* splits, int64_t n_recordings, int64_t largest,
    double iou_threshold, double* kept_times, uint8_t* dropped, int64_t* kept, int64_t* counts, void* stream);

// decay: of enum avloc_decay. decayed: (n,) scores at the time of the pick, beside kept. scratch: (n, 5) and
// rows: (n,).
int avloc_cuda_soft_segment_nms(
    const double* times, const double* values, const int64_t* splits, int64_t n_recordings, int64_t n,
    int32_t decay, double sigma, double iou_threshold, double iou_at_0s, double iou_at_1s, double min_score,
    int64_t max_segments, double* scratch, int64_t* rows, int64_t* kept, double* decayed, int64_t* counts,
    void* stream);

// offsets: (n_recordings + 1,), running sums of counts from 0 on.
int avloc_cuda_offsets(const int64_t* counts, int64_t n_recordings, int64_t* offsets, void* stream);

// Closes the gaps between recordings: packed: (offsets[n_recordings],). decayed and packed_scores may be
// null.
int avloc_cuda_pack_f32(
    const int64_t* kept, const double* decayed, const int64_t* splits, const int64_t* offsets,
    int64_t n_recordings, int64_t n, int64_t* packed, float* packed_scores, void* stream);
int avloc_cuda_pack_f64(
    const int64_t* kept, const double* decayed, const int64_t* splits, const int64_t* offsets,
    int64_t n_recordings, int64_t n, int64_t* packed, double* packed_scores, void* stream);

// kept: (n_kept,) rows of times; *is_wrong becomes 1 where one is not in [0, n). voted: (n_kept, 2).
int avloc_cuda_vote_segments_f32(
    const int64_t* kept, int64_t n_kept, const double* times, const double* values, int64_t n,
    const int64_t* splits, int64_t n_recordings, double iou_threshold, float* voted, int64_t* is_wrong,
    void* stream);
int avloc_cuda_vote_segments_f64(
    const int64_t* kept, int64_t n_kept, const double* times, const double* values, int64_t n,
    const int64_t* splits, int64_t n_recordings, double iou_threshold, double* voted, int64_t* is_wrong,
    void* stream);

// frame_scores: (n_rows, n_frames); prefix: (n_rows, n_frames + 1) running sums.
int avloc_cuda_prefix_sums_f32(
    const float* frame_scores, int64_t n_rows, int64_t n_frames, double* prefix, void* stream);
int avloc_cuda_prefix_sums_f64(
    const double* frame_scores, int64_t n_rows, int64_t n_frames, double* prefix, void* stream);

// segments: (n, 3) batch row, start and end in frames; scores: (n, 3), NaN for a wrong segment.
int avloc_cuda_score_segments_f32(
    const float* frame_scores, const double* prefix, int64_t n_rows, int64_t n_frames, const float* segments,
    int64_t n, float* scores, void* stream);
int avloc_cuda_score_segments_f64(
    const double* frame_scores, const double* prefix, int64_t n_rows, int64_t n_frames,
    const double* segments, int64_t n, double* scores, void* stream);

// Batch rows of segments (n, 3) as whole numbers, n_rows for a wrong segment: what to sort `order` by.
int avloc_cuda_batch_rows_f32(const float* segments, int64_t n, int64_t n_rows, int64_t* rows, void* stream);
int avloc_cuda_batch_rows_f64(const double* segments, int64_t n, int64_t n_rows, int64_t* rows, void* stream);

// sorted: (n,) batch rows in rising order; order: the segments that they are of. grad_scores: (n, 3);
// grad_frame_scores: (n_rows, n_frames), overwritten. parts: (n, 23) is scratch. Wrong segments give
// nothing.
int avloc_cuda_score_segments_backward_f32(
    const float* grad_scores, const float* frame_scores, const double* prefix, int64_t n_rows,
    int64_t n_frames, const float* segments, const int64_t* sorted, const int64_t* order, int64_t n,
    double* parts, float* grad_frame_scores, void* stream);
int avloc_cuda_score_segments_backward_f64(
    const double* grad_scores, const double* frame_scores, const double* prefix, int64_t n_rows,
    int64_t n_frames, const double* segments, const int64_t* sorted, const int64_t* order, int64_t n,
    double* parts, double* grad_frame_scores, void* stream);

// a: (n, 2), b: (m, 2); iou: (n, m), NaN where either is wrong.
int avloc_cuda_segment_iou_f32(
    const float* a, const float* b, int64_t n, int64_t m, float* iou, void* stream);
int avloc_cuda_segment_iou_f64(
    const double* a, const double* b, int64_t n, int64_t m, double* iou, void* stream);

// grad: (n, m); grad_a: (n, 2), overwritten.
int avloc_cuda_segment_iou_backward_f32(
    const float* grad, const float* a, const float* b, int64_t n, int64_t m, float* grad_a, void* stream);
int avloc_cuda_segment_iou_backward_f64(
    const double* grad, const double* a, const double* b, int64_t n, int64_t m, double* grad_a, void* stream);

// audio, visual: (n_batch, n_channels, n_frames); correlation: (n_batch, 2 * max_lag + 1, n_frames).
int avloc_cuda_band_correlation_f32(
    const float* audio, const float* visual, int64_t n_batch, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, float* correlation, void* stream);
int avloc_cuda_band_correlation_f64(
    const double* audio, const double* visual, int64_t n_batch, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, double* correlation, void* stream);

// grad: as correlation; grad_audio, grad_visual: as audio and visual, overwritten.
int avloc_cuda_band_correlation_backward_f32(
    const float* grad, const float* audio, const float* visual, int64_t n_batch, int64_t n_channels,
    int64_t n_frames, int64_t max_lag, float* grad_audio, float* grad_visual, void* stream);
int avloc_cuda_band_correlation_backward_f64(
    const double* grad, const double* audio, const double* visual, int64_t n_batch, int64_t n_channels,
    int64_t n_frames, int64_t max_lag, double* grad_audio, double* grad_visual, void* stream);

#ifdef __cplusplus
}
#endif
