// The model as the one who chooses. Its tokens are held to what is allowed: one of the skills that can be
// done now, or a call of a tool whose arguments follow the tool's schema. The conversation goes on in one
// Sequence, so that nothing is read twice while nothing is forgotten.
#pragma once

#include <string>
#include <vector>

#include "agent/agent.h"
#include "generate/sequence.h"

namespace longspan::agent {

struct ModelOptions {
  int64_t window = 0;         // tokens of prompt and answer together
  bool may_forget = false;    // the oldest turns go where the window is full; else that ends the loop
  int64_t most_tokens = 256;  // of one choice
  std::string system = {};    // what stands before the task, in the system's role; "": nothing
  SamplingOptions sampling = {};
  std::function<bool()> go_on = {};
};

/// The first message, up to the first observation: the goal, how it is played, and what the skills do or
/// which tools there are; none where the turns say it.
std::string task_message(const Goal& goal, const SkillSet& skills, const std::vector<Tool>& tools);

/// Tokens that a turn and the task take in a prompt of this model, which outlives the measure.
Measure turn_measure(const PromptMaker& prompts);
int64_t tokens_of(const PromptMaker& prompts, const std::string& message);

/// What the model is given: the task, the turns that are still there, those that came back, and the newest
/// observation. Spellings of special tokens in any of it are broken.
std::vector<ChatMessage> messages_of(const std::string& system, const std::string& task,
                                     const History& history, const Tokenizer& tokenizer);

/// The engine outlives the policy. `remarks` gets a sentence for each tool whose schema no grammar can say:
/// its arguments may then be any JSON object. Error as Sequence.
Policy model_policy(const Engine& engine, const std::string& task, const std::vector<Tool>& tools,
                    const ModelOptions& options, std::vector<std::string>& remarks);

}  // namespace longspan::agent
