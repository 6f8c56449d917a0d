# SPDX-License-Identifier: Apache-2.0
"""What Piwigo's AI plugin sends and reads, piece by piece; the façade joins them."""
