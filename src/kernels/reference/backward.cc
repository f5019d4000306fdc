// The backward half of the vocabulary in plain loops, sums in double: the chain rule written out.
#include <cmath>
#include <vector>

#include "kernels/reference/element.h"
#include "kernels/reference/reference.h"

namespace longspan {

namespace {

/// log sum exp of a row.
double log_sum(const Tensor& x, int64_t t) {
  double largest = -INFINITY, sum = 0;
  for (int64_t i = 0; i < x.cols(); ++i) largest = std::max<double>(largest, x.row(t)[i]);
  for (int64_t i = 0; i < x.cols(); ++i) sum += std::exp(x.row(t)[i] - largest);
  return largest + std::log(sum);
}

}  // namespace

void reference_embed_backward(Tensor dtable, Tensor dout, Tensor ids) {
  for (int64_t t = 0; t < dout.rows(); ++t)
    for (int64_t i = 0; i < dout.cols(); ++i) dtable.row(ids.row<int32_t>(0)[t])[i] += dout.row(t)[i];
}

void reference_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, float eps) {
  auto n = static_cast<double>(x.cols());
  std::vector<double> dw(static_cast<size_t>(x.cols()), 0.0);
  for (int64_t t = 0; t < x.rows(); ++t) {
    double squares = 0, dot = 0;
    for (int64_t i = 0; i < x.cols(); ++i) {
      squares += static_cast<double>(x.row(t)[i]) * x.row(t)[i];
      dot += static_cast<double>(dout.row(t)[i]) * weight.row(0)[i] * x.row(t)[i];
    }
    double r = 1 / std::sqrt(squares / n + eps);
    for (int64_t i = 0; i < x.cols(); ++i) {
      double g = static_cast<double>(dout.row(t)[i]) * weight.row(0)[i];
      dx.row(t)[i] += static_cast<float>(r * (g - x.row(t)[i] * r * r * dot / n));
      dw[static_cast<size_t>(i)] += dout.row(t)[i] * x.row(t)[i] * r;
    }
  }
  for (int64_t i = 0; dweight && i < x.cols(); ++i)
    dweight.row(0)[i] += static_cast<float>(dw[static_cast<size_t>(i)]);
}

void reference_linear_input_gradient(Tensor dx, Tensor dout, const Linear& w, bool accumulate) {
  int64_t n = w.weight.cols();
  std::vector<float> row(static_cast<size_t>(n));
  std::vector<double> sums(static_cast<size_t>(dout.rows() * n), 0.0);
  for (int64_t j = 0; j < w.weight.rows(); ++j) {
    dequantise(row.data(), w.weight.row<std::byte>(j), w.weight.dtype, n);
    for (int64_t t = 0; t < dout.rows(); ++t)
      for (int64_t i = 0; i < n; ++i)
        sums[static_cast<size_t>(t * n + i)] +=
            static_cast<double>(load(dout, t, j)) * row[static_cast<size_t>(i)];
  }
  for (int64_t t = 0; t < dout.rows(); ++t)
    for (int64_t i = 0; i < n; ++i)
      dx.row(t)[i] =
          static_cast<float>(sums[static_cast<size_t>(t * n + i)] + (accumulate ? dx.row(t)[i] : 0.0));
}

void reference_linear_weight_gradient(Tensor dweight, Tensor dbias, Tensor dout, Tensor x) {
  for (int64_t j = 0; j < dout.cols(); ++j) {
    for (int64_t i = 0; i < x.cols(); ++i) {
      double sum = 0;
      for (int64_t t = 0; t < x.rows(); ++t) sum += static_cast<double>(load(dout, t, j)) * load(x, t, i);
      dweight.row(j)[i] += static_cast<float>(sum);
    }
    double sum = 0;
    for (int64_t t = 0; t < x.rows(); ++t) sum += load(dout, t, j);
    if (dbias) dbias.row(0)[j] += static_cast<float>(sum);
  }
}

void reference_cross_entropy(Tensor loss, Tensor logits, Tensor targets, Tensor weights, double scale) {
  double total = 0;
  for (int64_t t = 0; t < logits.rows(); ++t) {
    double weight = weights.row(0)[t];
    double sum = weight == 0 ? 0 : log_sum(logits, t);
    int64_t target = weight == 0 ? -1 : targets.row<int32_t>(0)[t];
    if (weight != 0) total += weight * (sum - logits.row(t)[target]);
    for (int64_t i = 0; i < logits.cols(); ++i) {
      double p = weight == 0 ? 0 : std::exp(logits.row(t)[i] - sum);
      logits.row(t)[i] = static_cast<float>(scale * weight * (p - (i == target ? 1 : 0)));
    }
  }
  *loss.row<double>(0) += total;
}

void reference_divergence(Tensor loss, Tensor logits, Tensor original, Tensor weights, double scale) {
  double total = 0;
  for (int64_t t = 0; t < logits.rows(); ++t) {
    double weight = weights.row(0)[t];
    double sum = weight == 0 ? 0 : log_sum(logits, t), sum_original = weight == 0 ? 0 : log_sum(original, t);
    for (int64_t i = 0; i < logits.cols(); ++i) {
      double a = logits.row(t)[i] - sum, b = original.row(t)[i] - sum_original;
      if (weight != 0) total += weight * std::exp(b) * (b - a);
      logits.row(t)[i] = static_cast<float>(weight == 0 ? 0 : scale * weight * (std::exp(a) - std::exp(b)));
    }
  }
  *loss.row<double>(0) += total;
}

void reference_adamw(std::span<const AdamWTensor> tensors, const AdamW& s) {
  auto step = static_cast<double>(s.step);
  for (const auto& [value, gradient, m, v, decays] : tensors)
    for (int64_t t = 0; t < value.rows(); ++t)
      for (int64_t i = 0; i < value.cols(); ++i) {
        double g = gradient.row(t)[i] * s.scale;
        double first = s.beta1 * m.row(t)[i] + (1 - s.beta1) * g;
        double second = s.beta2 * v.row(t)[i] + (1 - s.beta2) * g * g;
        m.row(t)[i] = static_cast<float>(first);
        v.row(t)[i] = static_cast<float>(second);
        double move = first / (1 - std::pow(s.beta1, step)) /
                          (std::sqrt(second / (1 - std::pow(s.beta2, step))) + s.eps) +
                      (decays ? s.decay : 0) * value.row(t)[i];
        value.row(t)[i] = static_cast<float>(value.row(t)[i] - s.lr * move);
      }
}

void reference_sum_of_squares(Tensor sum, std::span<const Tensor> all) {
  double total = 0;
  for (const Tensor& x : all)
    for (int64_t t = 0; t < x.rows(); ++t)
      for (int64_t i = 0; i < x.cols(); ++i) total += static_cast<double>(x.row(t)[i]) * x.row(t)[i];
  *sum.row<double>(0) = total;
}

}  // namespace longspan
