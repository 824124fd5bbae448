#!/bin/sh
# Which instructions each object of the crypto room holds, as it was compiled: what runs on any processor holds nothing
# special, the AES-NI kernel no AVX, the 256-bit kernel neither AVX-512 nor GFNI.
#   crypto_isa_test.sh OBJDUMP LIBRARY
# The first byte of an instruction in 64-bit mode says it: 62 is EVEX (AVX-512), c4 and c5 are VEX (AVX and BMI).
"$1" -d "$2" | awk '
  function refuse(what) { print file ".cc has " what ":" $0; bad = 1 }
  / file format / {
    file = $1; sub(/\.cc\.o:$/, "", file); seen[file] = 1
    plain = file == "portable" || file == "dispatch" || file == "cpu"
    next
  }
  /:\t62 / && file !~ /^vaes512/ { refuse("AVX-512") }
  /:\tc[45] / && (plain || file == "aesni") { refuse("AVX") }
  /\tv?(aes|pclmul|gf2p8)/ && (plain || /gf2p8/) { refuse("what its processors may lack") }
  END {
    count = split("portable dispatch cpu aesni vaes256 vaes256_aes128 vaes256_aes256", wanted)
    for (i = 1; i <= count; i++) if (!(wanted[i] in seen)) { print "no " wanted[i] ".cc.o in the library"; bad = 1 }
    exit bad
  }' || exit 1
