"""ebb-csi: CSI 1.12 in front of ebbd. It validates, translates and routes; it keeps no state.

Imports go down: __main__ → app → calls, identity, controller (snapshots), group, node →
translate, paging, placement → router, validate, logs → status. import-linter holds it.
"""
