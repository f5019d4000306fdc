// Downloads over HTTP that can be resumed: what has arrived stays under the name of the part, and the next
// call asks the server for the rest.
#pragma once

#include <filesystem>
#include <string>

#include "base/progress.h"

namespace longspan::cli {

/// Brings `url` (http or https, redirects are followed, proxies of the environment are used) to `part`,
/// continuing what is there. A server that cannot continue sends everything again. Error saying what the
/// server or the system said: not enough space, no answer, a status other than 200 and 206; or that
/// `progress` (in bytes; total 0 where it is unknown) asked to stop. `part` keeps what has arrived.
void download(const std::string& url, const std::filesystem::path& part, const Progress& progress);

}  // namespace longspan::cli
