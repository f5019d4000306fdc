#include "model/initial_part.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "base/threads.h"

namespace longspan {

namespace {

using Vector = std::vector<double>;

template <class X>
double dot(const X* x, const double* y, size_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

/// W v [N].
Vector product(const Tensor& w, const Vector& v) {
  Vector out(static_cast<size_t>(w.rows()));
  parallel_for(w.rows(), [&](int64_t n) { out[static_cast<size_t>(n)] = dot(w.row(n), v.data(), v.size()); });
  return out;
}

/// u^T W [C].
Vector transposed_product(const Tensor& w, const Vector& u) {
  constexpr int64_t kBlock = 64;
  Vector out(static_cast<size_t>(w.cols()));
  parallel_for((w.cols() + kBlock - 1) / kBlock, [&](int64_t block) {
    int64_t end = std::min(w.cols(), (block + 1) * kBlock);
    for (int64_t n = 0; n < w.rows(); ++n)
      for (int64_t c = block * kBlock; c < end; ++c)
        out[static_cast<size_t>(c)] += u[static_cast<size_t>(n)] * w.row(n)[c];
  });
  return out;
}

/// Takes out of x what it has of the vectors, twice, because once leaves rounding errors of the size of what
/// was taken out. Returns the length that is left, by which x is divided unless it is 0.
double orthogonalise(Vector& x, const std::vector<Vector>& vectors) {
  for (int time = 0; time < 2; ++time)
    for (const Vector& v : vectors) {
      double along = dot(x.data(), v.data(), x.size());
      for (size_t i = 0; i < x.size(); ++i) x[i] -= along * v[i];
    }
  double length = std::sqrt(dot(x.data(), x.data(), x.size()));
  if (length > 0)
    for (double& value : x) value /= length;
  return length;
}

/// Eigenvalues and vectors of a symmetric tridiagonal matrix, by QL with implicit shifts (Bowdler 1968).
/// diagonal [m] becomes the eigenvalues, column i of `vectors` [m, m] the vector of the i-th.
void solve_tridiagonal(Vector& diagonal, Vector beside, Vector& vectors) {
  const size_t m = diagonal.size();
  vectors.assign(m * m, 0);
  for (size_t i = 0; i < m; ++i) vectors[i * m + i] = 1;
  beside.resize(m);
  for (size_t l = 0; l < m; ++l)
    for (;;) {
      size_t end = l;
      while (end + 1 < m &&
             std::abs(beside[end]) > 1e-16 * (std::abs(diagonal[end]) + std::abs(diagonal[end + 1])))
        ++end;
      if (end == l) break;
      double g = (diagonal[l + 1] - diagonal[l]) / (2 * beside[l]), r = std::hypot(g, 1.0);
      g = diagonal[end] - diagonal[l] + beside[l] / (g + std::copysign(r, g));
      double s = 1, c = 1, p = 0;
      bool cut = false;
      for (size_t i = end; i-- > l;) {
        double f = s * beside[i], b = c * beside[i];
        r = std::hypot(f, g);
        beside[i + 1] = r;
        if (r == 0) {
          diagonal[i + 1] -= p;
          beside[end] = 0;
          cut = true;
          break;
        }
        s = f / r, c = g / r;
        g = diagonal[i + 1] - p;
        r = (diagonal[i] - g) * s + 2 * c * b;
        p = s * r;
        diagonal[i + 1] = g + p;
        g = c * r - b;
        for (size_t k = 0; k < m; ++k) {
          double next = vectors[k * m + i + 1], here = vectors[k * m + i];
          vectors[k * m + i + 1] = s * here + c * next;
          vectors[k * m + i] = c * here - s * next;
        }
      }
      if (cut) continue;
      diagonal[l] -= p, beside[l] = g, beside[end] = 0;
    }
}

/// The directions that Lanczos' iteration has made of W^T W, and the matrix that it is among them.
struct Lanczos {
  std::vector<Vector> directions;
  Vector diagonal, beside;

  /// Adds one; false where there is no other.
  void step(const Tensor& w, Random& random) {
    Vector next = transposed_product(w, product(w, directions.back()));
    diagonal.push_back(dot(next.data(), directions.back().data(), next.size()));
    double size = std::sqrt(dot(next.data(), next.data(), next.size())),
           left = orthogonalise(next, directions);
    // Where the space is exhausted, a new direction: of equal singular values it has found but one.
    if (left <= 1e-13 * size) {
      for (double& value : next) value = random.uniform() - 0.5;
      orthogonalise(next, directions);
      left = 0;
    }
    beside.push_back(left);
    directions.push_back(std::move(next));
  }
};

/// Rows are the right singular vectors of the largest singular values [rank, C].
Vector leading_directions(const Tensor& w, int64_t rank) {
  constexpr double kTolerance = 1e-10;  // of the largest eigenvalue of W^T W
  const auto cols = static_cast<size_t>(w.cols()), wanted = static_cast<size_t>(rank);
  Random random(1);
  Vector start(cols);
  for (double& value : start) value = random.uniform() - 0.5;
  Lanczos lanczos;
  orthogonalise(start, {});
  lanczos.directions.push_back(std::move(start));
  for (size_t most = std::min(cols, 2 * wanted + 16);; most = std::min(cols, most + most / 2)) {
    while (lanczos.diagonal.size() < most) lanczos.step(w, random);
    Vector values = lanczos.diagonal, vectors;
    solve_tridiagonal(values, lanczos.beside, vectors);
    std::vector<size_t> order(most);
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] > values[j]; });
    double error = 0;
    for (size_t i = 0; i < wanted; ++i)
      error = std::max(error, std::abs(lanczos.beside.back() * vectors[(most - 1) * most + order[i]]));
    if (most < cols && error > kTolerance * values[order[0]]) continue;
    Vector out(wanted * cols);
    for (size_t i = 0; i < wanted; ++i)
      for (size_t k = 0; k < most; ++k)
        for (size_t c = 0; c < cols; ++c)
          out[i * cols + c] += vectors[k * most + order[i]] * lanczos.directions[k][c];
    return out;
  }
}

}  // namespace

InitialPart principal_part(const Tensor& w, int64_t rank) {
  assert(rank >= 1 && rank <= std::min(w.rows(), w.cols()));
  InitialPart part{
      .rank = rank, .rows = w.rows(), .cols = w.cols(), .a = leading_directions(w, rank), .b = {}};
  part.b.resize(static_cast<size_t>(w.rows() * rank));
  const auto cols = static_cast<size_t>(w.cols());
  parallel_for(w.rows(), [&](int64_t n) {
    for (int64_t r = 0; r < rank; ++r)
      part.b[static_cast<size_t>(n * rank + r)] =
          dot(w.row(n), part.a.data() + static_cast<size_t>(r) * cols, cols);
  });
  return part;
}

InitialPart orthogonal_part(const Tensor& w, int64_t rank) {
  assert(rank >= 1 && rank <= std::min(w.rows(), w.cols()));
  const auto rows = static_cast<size_t>(w.rows());
  std::vector<Vector> columns;  // of Q
  for (int64_t r = 0; r < rank; ++r) {
    Vector column(rows);
    for (size_t n = 0; n < rows; ++n) column[n] = w.row(static_cast<int64_t>(n))[r];
    double before = std::sqrt(dot(column.data(), column.data(), rows));
    if (orthogonalise(column, columns) <= 1e-6 * before) return {};
    columns.push_back(std::move(column));
  }
  InitialPart part{.rank = rank, .rows = w.rows(), .cols = w.cols(), .a = {}, .b = {}};
  for (const Vector& column : columns) {
    Vector row = transposed_product(w, column);
    part.a.insert(part.a.end(), row.begin(), row.end());
  }
  part.b.resize(rows * columns.size());
  for (size_t n = 0; n < rows; ++n)
    for (size_t r = 0; r < columns.size(); ++r) part.b[n * columns.size() + r] = columns[r][n];
  return part;
}

}  // namespace longspan
