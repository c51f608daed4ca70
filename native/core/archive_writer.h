// Writes the archive that the strict reader takes: stored records, none of this machine's paths.
#pragma once

#include <map>
#include <string>

namespace lexiseg {

// Copies what makes the network from `source`, an archive as LibTorch saves one, to `target`, and
// adds files under extra/. Throws Error(ERR_OUTPUT).
void write_archive(const std::string& source, const std::string& target,
                   const std::map<std::string, std::string>& extra_files);

}  // namespace lexiseg
