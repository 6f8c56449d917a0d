# SPDX-License-Identifier: Apache-2.0
"""What tests of several levels share: servers, real and scripted, and files that are made. Imports no test and no benchmark."""
