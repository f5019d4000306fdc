// Models that Hugging Face's tools have downloaded to this machine, by their ids. The hub's cache keeps a
// model as models--OWNER--NAME/snapshots/COMMIT/, and the commit of a branch in models--OWNER--NAME/refs/.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace longspan::cli {

/// "OWNER/NAME", with "@REVISION", with "/FILE", or with ":TAG", a part of a GGUF file's name ("Q4_K_M").
struct HubId {
  std::string text;        // as it was typed
  std::string repository;  // "OWNER/NAME"
  std::string revision;    // "main" where none is given
  std::string file, tag;   // "" where none is given
};
/// Nothing when the text does not have this form.
std::optional<HubId> hub_id(const std::string& text);

/// $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub.
std::filesystem::path hub_cache();

/// The snapshot's directory, or a GGUF file in it: the one that is named, or the only one of a snapshot
/// without config.json. Error saying how to download what is missing, or listing what there is to choose
/// from.
std::filesystem::path resolve_hub(const HubId& id);

}  // namespace longspan::cli
