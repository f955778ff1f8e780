#include "tests/support/crypto_environment.h"
