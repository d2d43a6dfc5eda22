// work: the C++ side of the benchmarks, on the same libtorch, by libtorch's own C++ frontend.
//
//   work WORKLOAD
//
// It warms up, writes a line, and then answers each line that it reads with the microseconds of one step and those of the
// processor that it took, measured over a block of steps: so that a driver can take turns with other processes.

#include <torch/torch.h>

#include <time.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>

namespace {

using torch::Tensor;
namespace nn = torch::nn;

using Step = std::function<void()>;

Step add() {
  auto a = torch::randn({4}), b = torch::randn({4});
  return [=] {
    torch::NoGradGuard guard;
    Tensor c = a.add(b);
  };
}

Step add_grad() {
  auto a = torch::randn({4}).requires_grad_(), b = torch::randn({4}), g = torch::ones({4});
  return [=] { a.add(b).backward(g); };
}

Step mlp() {
  nn::Sequential net(nn::Linear(784, 128), nn::ReLU(), nn::Linear(128, 10));
  auto opt = std::make_shared<torch::optim::SGD>(net->parameters(), 0.1);
  auto x = torch::randn({64, 784}), y = torch::randint(10, {64});
  return [=]() mutable {
    opt->zero_grad();
    torch::nn::functional::cross_entropy(net->forward(x), y).backward();
    opt->step();
  };
}

Step deep(int layers, int width, int batch) {
  nn::Sequential net;
  for (int i = 0; i < layers; i++) {
    net->push_back(nn::Linear(width, width));
    net->push_back(nn::ReLU());
  }
  auto opt = std::make_shared<torch::optim::SGD>(net->parameters(), 0.01);
  auto x = torch::randn({batch, width});
  return [=]() mutable {
    opt->zero_grad();
    net->forward(x).mean().backward();
    opt->step();
  };
}

Step cnn() {
  nn::Sequential net(nn::Conv2d(1, 32, 3), nn::ReLU(), nn::Conv2d(32, 64, 3), nn::ReLU(), nn::MaxPool2d(2), nn::Dropout(0.25),
                     nn::Flatten(), nn::Linear(9216, 128), nn::ReLU(), nn::Dropout(0.5), nn::Linear(128, 10), nn::LogSoftmax(1));
  auto opt = std::make_shared<torch::optim::Adam>(net->parameters(), torch::optim::AdamOptions(1e-3));
  auto x = torch::randn({64, 1, 28, 28}), y = torch::randint(10, {64});
  return [=]() mutable {
    opt->zero_grad();
    torch::nll_loss(net->forward(x), y).backward();
    opt->step();
  };
}

constexpr int kDim = 128, kHeads = 4, kLayers = 4, kVocab = 256, kSeq = 64;

struct BlockImpl : nn::Module {
  nn::LayerNorm norm1{nullptr}, norm2{nullptr};
  nn::Linear qkv{nullptr}, proj{nullptr}, up{nullptr}, down{nullptr};
  BlockImpl() {
    norm1 = register_module("norm1", nn::LayerNorm(nn::LayerNormOptions({kDim})));
    norm2 = register_module("norm2", nn::LayerNorm(nn::LayerNormOptions({kDim})));
    qkv = register_module("qkv", nn::Linear(nn::LinearOptions(kDim, 3 * kDim).bias(false)));
    proj = register_module("proj", nn::Linear(kDim, kDim));
    up = register_module("up", nn::Linear(kDim, 4 * kDim));
    down = register_module("down", nn::Linear(4 * kDim, kDim));
  }
  Tensor forward(Tensor x) {
    auto n = x.size(0), t = x.size(1);
    auto parts = qkv(norm1(x)).split(kDim, -1);
    for (auto& p : parts) p = p.view({n, t, kHeads, kDim / kHeads}).transpose(1, 2);
    auto y = at::scaled_dot_product_attention(parts[0], parts[1], parts[2], {}, 0.0, true);
    x = x + proj(y.transpose(1, 2).reshape({n, t, kDim}));
    return x + down(torch::gelu(up(norm2(x))));
  }
};
TORCH_MODULE(Block);

struct GPTImpl : nn::Module {
  nn::Embedding tok{nullptr};
  Tensor pos;
  nn::Sequential blocks;
  nn::LayerNorm norm{nullptr};
  nn::Linear head{nullptr};
  GPTImpl() {
    tok = register_module("tok", nn::Embedding(kVocab, kDim));
    pos = register_parameter("pos", torch::randn({kSeq, kDim}) * 0.02);
    for (int i = 0; i < kLayers; i++) blocks->push_back(Block());
    register_module("blocks", blocks);
    norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({kDim})));
    head = register_module("head", nn::Linear(nn::LinearOptions(kDim, kVocab).bias(false)));
  }
  Tensor forward(Tensor ids) { return head(norm(blocks->forward(tok(ids) + pos.slice(0, 0, ids.size(1))))); }
};
TORCH_MODULE(GPT);

Step transformer() {
  GPT net;
  auto opt = std::make_shared<torch::optim::AdamW>(net->parameters(), torch::optim::AdamWOptions(3e-4));
  auto params = net->parameters();
  auto x = torch::randint(kVocab, {8, kSeq}), y = torch::randint(kVocab, {8 * kSeq});
  return [=]() mutable {
    opt->zero_grad();
    torch::nn::functional::cross_entropy(net->forward(x).view({-1, kVocab}), y).backward();
    nn::utils::clip_grad_norm_(params, 1.0);
    opt->step();
  };
}

Step find(const std::string& name) {
  if (name == "add") return add();
  if (name == "addgrad") return add_grad();
  if (name == "mlp") return mlp();
  if (name == "cnn") return cnn();
  if (name == "transformer") return transformer();
  if (name.rfind("deep", 0) == 0) return deep(std::stoi(name.substr(4)), 16, 16);
  if (name.rfind("wide", 0) == 0) return deep(24, std::stoi(name.substr(4)), 32);
  throw std::runtime_error("no workload " + name);
}

// Cost is the microseconds that something took, on the wall and of the process's processor time.
struct Cost {
  double wall, cpu;
};

double seconds(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

Cost measure(const Step& step, int64_t n) {
  double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  for (int64_t i = 0; i < n; i++) step();
  return {(seconds(CLOCK_MONOTONIC) - wall) * 1e6, (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: work WORKLOAD\n";
    return 2;
  }
  const char* threads = std::getenv("OMP_NUM_THREADS");
  torch::set_num_threads(threads ? std::max(1, std::atoi(threads)) : 1);
  torch::manual_seed(1);
  Step step = find(argv[1]);
  // A block takes about a tenth of a second, and the warm-up three of them.
  int64_t n = 1;
  double us;
  while ((us = measure(step, n).cpu) < 1e5) n *= 2;
  n = std::max<int64_t>(3, static_cast<int64_t>(static_cast<double>(n) * 1e5 / us));
  std::cout << "{\"ready\":true}" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "quit") break;
    Cost c = measure(step, n);
    std::cout << "{\"value\":" << c.wall / static_cast<double>(n) << ",\"cpu\":" << c.cpu / static_cast<double>(n) << "}" << std::endl;
  }
}
