"""ebb-csi: CSI 1.12 in front of ebbd. It validates, translates and routes; it keeps no state.

Imports go down: __main__ → app → calls, identity, controller (snapshots, siting), group, node →
translate, paging, placement, fleet → roster → places, line → credentials → router, validate, logs,
together → status. import-linter holds it.
"""
