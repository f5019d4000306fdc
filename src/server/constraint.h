// What a request says about the shape of its answer, as a constraint on tokens. The one place where the
// server meets grammars.
#pragma once

#include "generate/token_constraint.h"
#include "server/calls.h"
#include "tokenizer/tokenizer.h"

namespace longspan::server {

/// Empty where the call asks for none. Each answer needs one of its own. ApiError (400) when it cannot be
/// met.
TokenConstraint constraint_of(const Call& call, const Tokenizer& tokenizer);
/// The same for a chat, whose tools may have to be called.
TokenConstraint constraint_of(const ChatCall& call, const Tokenizer& tokenizer);

}  // namespace longspan::server
