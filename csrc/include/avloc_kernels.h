// The kernels of avloc: plain C ABI, pointers and sizes only, no torch header.
//
// Every function works on the rows [first, last) of its input (recordings, lags, batch rows) and touches the
// outputs of those rows alone, so that the caller may run ranges in parallel. Arrays are contiguous;
// arguments are checked by the caller (csrc/ops_cpu). The definitions are those of avloc/ops/reference.py.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// segments: (N, 2) start and end in seconds; scores: (N,); splits: (R + 1,), recording r owns rows
// [splits[r], splits[r + 1]). kept: (N,) global indices, those of recording r from kept[splits[r]] on;
// counts: (R,).
void avloc_segment_nms(
    const double* segments, const double* scores, const int64_t* splits, int64_t first, int64_t last,
    double iou_threshold, int64_t* kept, int64_t* counts);

enum avloc_decay { AVLOC_DECAY_LINEAR = 0, AVLOC_DECAY_GAUSSIAN = 1, AVLOC_DECAY_ADAPTIVE = 2 };

// As avloc_segment_nms; decayed: (N,) scores at the time of the pick, beside kept. max_segments is per
// recording.
void avloc_soft_segment_nms(
    const double* segments, const double* scores, const int64_t* splits, int64_t first, int64_t last,
    int32_t decay, double sigma, double iou_threshold, double iou_at_0s, double iou_at_1s, double min_score,
    int64_t max_segments, int64_t* kept, double* decayed, int64_t* counts);

// segments, scores, splits: as for avloc_segment_nms; kept: (n_kept,) rows of segments; picks: (n_kept,) rows
// of kept in rising order of kept; voted: (n_kept, 2) new boundaries, beside kept. Rows are recordings.
void avloc_vote_segments(
    const int64_t* kept, const int64_t* picks, int64_t n_kept, const double* segments, const double* scores,
    const int64_t* splits, int64_t first, int64_t last, double iou_threshold, double* voted);

// frame_scores: (B, T); prefix: (B, T + 1) running sums, prefix[b][0] = 0. Rows are batch rows.
void avloc_prefix_sums(
    const double* frame_scores, int64_t n_frames, int64_t first, int64_t last, double* prefix);

// segments: (N, 3) batch row, start and end in frames; scores: (N, 3) inside, contrast, sharpness. Rows are
// segments.
void avloc_score_segments(
    const double* frame_scores, const double* prefix, int64_t n_frames, const double* segments, int64_t first,
    int64_t last, double* scores);

// grad_scores: (N, 3); grad_frame_scores: (B, T), overwritten. Rows are batch rows.
void avloc_score_segments_backward(
    const double* grad_scores, const double* frame_scores, const double* prefix, int64_t n_frames,
    const double* segments, int64_t n_segments, int64_t first, int64_t last, double* grad_frame_scores);

// a: (N, 2), b: (m, 2) start and end in seconds; iou: (N, m). Rows are segments of a.
void avloc_segment_iou_f32(
    const double* a, const double* b, int64_t m, int64_t first, int64_t last, float* iou);
void avloc_segment_iou_f64(
    const double* a, const double* b, int64_t m, int64_t first, int64_t last, double* iou);

// grad: (N, m); grad_a: (N, 2), overwritten. Rows are segments of a. The gradient to b is that to a with the
// roles of both exchanged.
void avloc_segment_iou_backward_f32(
    const float* grad, const double* a, const double* b, int64_t m, int64_t first, int64_t last,
    double* grad_a);
void avloc_segment_iou_backward_f64(
    const double* grad, const double* a, const double* b, int64_t m, int64_t first, int64_t last,
    double* grad_a);

// audio, visual: (B, C, T); correlation: (B, 2 * max_lag + 1, T). Rows are pairs (batch row, lag).
void avloc_band_correlation_f32(
    const float* audio, const float* visual, int64_t n_channels, int64_t n_frames, int64_t max_lag,
    int64_t first, int64_t last, float* correlation);
void avloc_band_correlation_f64(
    const double* audio, const double* visual, int64_t n_channels, int64_t n_frames, int64_t max_lag,
    int64_t first, int64_t last, double* correlation);

// grad: (B, 2 * max_lag + 1, T); grad_audio, grad_visual: (B, C, T), overwritten. Rows are pairs (batch row,
// channel).
void avloc_band_correlation_backward_f32(
    const float* grad, const float* audio, const float* visual, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, int64_t first, int64_t last, float* grad_audio, float* grad_visual);
void avloc_band_correlation_backward_f64(
    const double* grad, const double* audio, const double* visual, int64_t n_channels, int64_t n_frames,
    int64_t max_lag, int64_t first, int64_t last, double* grad_audio, double* grad_visual);

#ifdef __cplusplus
}
#endif
