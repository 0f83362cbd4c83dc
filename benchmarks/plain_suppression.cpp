// Suppression by the plain loop over all pairs, in float32, as localization code usually has it: the baseline
// of bench_ops.py. Nothing of avloc is used here.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace {

constexpr float kAreaSlack = 1e-6f; // keeps the union of two empty segments above zero

float iou(float start, float end, float area, float other_start, float other_end, float other_area) {
  const float shared = std::max(0.0f, std::min(end, other_end) - std::max(start, other_start));
  return shared / (area + other_area - shared);
}

} // namespace

// segments: (n, 2); kept: room for n; returns how many were kept.
extern "C" int64_t plain_hard(
    const float* segments, const float* scores, int64_t n, float threshold, int64_t* kept) {
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::sort(order.begin(), order.end(), [scores](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  std::vector<float> areas(n);
  for (int64_t i = 0; i < n; ++i) {
    areas[i] = segments[2 * i + 1] - segments[2 * i] + kAreaSlack;
  }
  std::vector<char> suppressed(n, 0);
  int64_t n_kept = 0;
  for (int64_t rank = 0; rank < n; ++rank) {
    const int64_t i = order[rank];
    if (suppressed[i]) {
      continue;
    }
    kept[n_kept++] = i;
    const float start = segments[2 * i], end = segments[2 * i + 1], area = areas[i];
    for (int64_t later = rank + 1; later < n; ++later) {
      const int64_t j = order[later];
      if (!suppressed[j]) {
        suppressed[j] = iou(start, end, area, segments[2 * j], segments[2 * j + 1], areas[j]) >= threshold;
      }
    }
  }
  return n_kept;
}

// Gaussian decay; kept, decayed: room for n; returns how many were picked.
extern "C" int64_t plain_soft(
    const float* segments, const float* scores, int64_t n, float sigma, float min_score, int64_t* kept,
    float* decayed) {
  std::vector<float> starts(n), ends(n), areas(n), values(scores, scores + n);
  std::vector<int64_t> indices(n);
  for (int64_t i = 0; i < n; ++i) {
    starts[i] = segments[2 * i];
    ends[i] = segments[2 * i + 1];
    areas[i] = ends[i] - starts[i] + kAreaSlack;
    indices[i] = i;
  }
  int64_t left = n;
  for (int64_t picked = 0; picked < left; ++picked) {
    const int64_t best = std::max_element(values.begin() + picked, values.begin() + left) - values.begin();
    std::swap(starts[picked], starts[best]);
    std::swap(ends[picked], ends[best]);
    std::swap(areas[picked], areas[best]);
    std::swap(values[picked], values[best]);
    std::swap(indices[picked], indices[best]);
    kept[picked] = indices[picked];
    decayed[picked] = values[picked];
    for (int64_t other = picked + 1; other < left;) {
      const float overlap =
          iou(starts[picked], ends[picked], areas[picked], starts[other], ends[other], areas[other]);
      values[other] *= std::exp(-(overlap * overlap) / sigma);
      if (values[other] < min_score) {
        --left;
        starts[other] = starts[left];
        ends[other] = ends[left];
        areas[other] = areas[left];
        values[other] = values[left];
        indices[other] = indices[left];
      } else {
        ++other;
      }
    }
  }
  return left;
}
