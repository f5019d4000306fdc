// What a request says about the shape of its answer, as a constraint on tokens. The one place where the
// server meets grammars.
#pragma once

#include "generate/engine.h"
#include "generate/token_constraint.h"
#include "server/calls.h"

namespace longspan::server {

/// Of response_format (text, json_object, json_schema) or grammar; empty where the call asks for neither.
/// Each answer needs one of its own. ApiError (400) naming what a schema or grammar says that cannot be met.
TokenConstraint constraint_of(const Call& call, const Engine& engine);
/// The same for a chat, whose tools may have to be called.
TokenConstraint constraint_of(const ChatCall& call, const Engine& engine);

}  // namespace longspan::server
