import json

import pytest
from ebbd.errors import (
    CommandFailed,
    Conflict,
    EbbError,
    NoRoom,
    NotFound,
    Unavailable,
    WrongState,
)
from ebbd.host.real.lvm_answer import Answer, failure, parse

# As LVM 2.03.16 answers `lvs` in its shell (LVM_REPORT_FD), with report_command_log.
LVS = b"""\
  {
      "report": [
          {
              "lv": [
                  {"lv_name":"a1", "lv_tags":"t1,x=y"},
                  {"lv_name":"pool", "lv_tags":""}
              ]
          }
      ]
      ,
      "log": [
          {"log_seq_num":"1", "log_type":"status", "log_context":"processing", "log_object_type":\
"vg", "log_object_name":"vg", "log_object_id":"Ic", "log_object_group":"", \
"log_object_group_id":"", "log_message":"success", "log_errno":"0", "log_ret_code":"1"},
          {"log_seq_num":"2", "log_type":"status", "log_context":"shell", "log_object_type":"cmd", \
"log_object_name":"lvs", "log_object_id":"", "log_object_group":"", "log_object_group_id":"", \
"log_message":"success", "log_errno":"0", "log_ret_code":"1"}
      ]
  }
"""


def answer(message: str, code: int = 5) -> Answer:
    return Answer(code, (message,), (message,), {})


def test_an_answer_with_a_report() -> None:
    parsed = parse(LVS)
    assert parsed is not None
    assert parsed.return_code == 1
    assert parsed.messages == parsed.errors == ()
    assert [row["lv_name"] for row in parsed.reports["lv"]] == ["a1", "pool"]


def test_an_answer_is_recognised_only_when_it_is_whole() -> None:
    whole = [end for end in range(len(LVS) + 1) if parse(LVS[:end]) is not None]
    assert whole == [len(LVS.rstrip()), len(LVS)]


def test_messages_and_the_code_of_a_failure() -> None:
    rows = [
        {"log_type": "print", "log_message": "  Rounding up", "log_ret_code": "0"},
        {"log_type": "error", "log_message": "No.", "log_ret_code": "0"},
        {"log_type": "status", "log_message": "failure", "log_ret_code": "5"},
    ]
    parsed = parse(json.dumps({"log": rows}).encode())
    assert parsed == Answer(5, ("Rounding up", "No."), ("No.",), {})


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ('Logical Volume "a1" already exists in volume group "vg"', Conflict),
        ("A volume group called vg already exists.", Conflict),
        ("Insufficient free space: 12800 extents needed, but only 492 available", NoRoom),
        ('Volume group "vg" has insufficient free space (492 extents): 12800 required.', NoRoom),
        (
            "Cannot create new thin volume, free space in thin pool vg/pool reached threshold.",
            NoRoom,
        ),
        ("Logical volume vg/a3 in use.", WrongState),
        ("Logical volume vg/a3 is used by another device.", WrongState),
        ("Logical volume vg/a3 contains a filesystem in use.", WrongState),
        ('Failed to find logical volume "vg/none"', NotFound),
        ("Logical volume none not found in volume group vg.", NotFound),
        ("Snapshot origin LV none not found in Volume group vg.", NotFound),
        ("Pool nopool not found in Volume group vg.", NotFound),
        ('Volume group "novg" not found', NotFound),
        ("Thin pool vg-pool-tpool (253:2) transaction_id is 5, while expected 6.", Unavailable),
        (
            "Manual intervention may be required to remove device dev_id=3 in thin pool metadata.",
            Unavailable,
        ),
        ("Something that nobody has seen before.", CommandFailed),
    ],
)
def test_what_lvm_means(message: str, error: type[EbbError]) -> None:
    found = failure(["lvcreate", "vg"], answer(message))
    assert type(found) is error
    assert message in str(found)


def test_a_wrong_command_line_is_our_own_mistake() -> None:
    found = failure(["lvcreate"], answer("--zero is not found in Volume group", code=3))
    assert type(found) is CommandFailed
