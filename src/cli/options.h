// Options shared by several commands: one struct, and one function for each group of options.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "generate/sequence.h"

namespace longspan::cli {

struct Options {
  // every command
  bool json = false;
  bool quiet = false;
  // commands that compute
  std::string model;
  int threads = 0;  // 0: the physical cores
  std::string device = "cpu";
  uint64_t seed = 0;
  bool seed_given = false;
  std::string position, kernels, adapter;
  std::string cache_type = "f16", compute, weights = "auto", attention = "dense";
  int64_t chunk = 0;  // 0: what suits the device
  // commands that read text
  std::string encoding;  // "": recognised
  std::string truncate;  // "", "middle", "left", "right"
  int64_t context = 0;   // 0: the window that the method reaches
  // commands that write
  std::string draft = "off", evict = "off";
  std::string grammar, json_schema;
  // commands that ask about documents
  std::string cache;       // "": in the user's cache
  int64_t cache_size = 0;  // 0: the default
  bool no_cache = false;
  // commands that hold a conversation
  std::string system, chat_template;
};

/// For the value of an option: a whole number in the limits, also as 32k or 1M. The option then holds digits.
CLI::Validator whole_number(int64_t least, int64_t most);

/// EngineOptions::sparse of --attention: 0 for dense, S for sparse:share=S. Error for other texts.
float sparse_share(const std::string& attention);
/// What sparse attention has skipped so far, if there was any.
void remark_skipped(const Options& o, const Model& model);
std::optional<double> skipped_share(const Model& model);

/// --json, --quiet.
void add_output_options(CLI::App& app, Options& o);
/// MODEL.
void add_model_argument(CLI::App& app, Options& o);
/// --position.
void add_position_option(CLI::App& app, Options& o);
/// --device.
void add_device_option(CLI::App& app, Options& o);
/// --threads, --device, --seed, --position, --adapter, --cache-type, --weights, --compute, --kernels,
/// --chunk.
void add_engine_options(CLI::App& app, Options& o);
/// --truncate, --context.
void add_window_options(CLI::App& app, Options& o);
/// --system, --chat-template.
void add_chat_options(CLI::App& app, Options& o);
/// --temperature and the other sampling options.
void add_sampling_options(CLI::App& app, SamplingOptions& s);
/// --grammar, --json-schema.
void add_grammar_options(CLI::App& app, Options& o);
/// What they say; null when neither is given. Error naming the file and the place in it.
std::shared_ptr<const Grammar> read_grammar(const Options& o);
/// --draft.
void add_draft_option(CLI::App& app, Options& o);
/// --evict.
void add_evict_option(CLI::App& app, Options& o);
/// --seed. Sampling that was given none draws one and says so, so that two calls differ and each can be
/// repeated.
void choose_seed(Options& o, SamplingOptions& s);

EngineOptions engine_options(const Options& o);

/// Tokens a forward pass: --chunk, else 512 on the processor and 8,192 on a GPU.
int64_t chunk_of(const Options& o);

struct OpenedModel {
  Checkpoint checkpoint;
  EngineSetup setup;
};
/// Sets the number of threads, opens the model without loading its weights, and reports the assumptions made
/// about its config. `weights`: whether they must exist. Error for a device that this build does not support.
OpenedModel open_model(const Options& o, bool weights);

/// Whether a command knows how long its texts are: only then may --position leave its factor to the length,
/// and the command calls stretch (window.h) before it reads.
enum class Lengths { Unknown, Known };

/// The same, and loads the weights. Error when --position asks for a length that is not known.
Engine open_engine(const Options& o, Lengths lengths = Lengths::Unknown);

/// --encoding.
void add_encoding_option(CLI::App& app, Options& o);
/// -f, --file (any number of them, to `files`) and --encoding.
CLI::Option* add_file_option(CLI::App& app, Options& o, std::vector<std::string>& files, const char* what);

/// The text of files, folders, pipes or standard input ("-"); what was recognised becomes remarks. Error when
/// one is missing, empty, or holds no text.
std::string read_text(const Options& o, const std::vector<std::string>& files);

}  // namespace longspan::cli
