"""How people ask for the steps that every environment has, as grammars.

Each variant of a step: `do` is `verb~object~rest`, `told` a sentence with its own subject,
    `note` words without a verb.
Slots are the inputs of the step; `{of}` is "of the order" where the record must be named. A variant gives the inputs
that its `do` names, and the required ones.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Variant(NamedTuple):
    """One way to use a step: which inputs it gives, and grammars of its words."""

    inputs: frozenset[str]
    do: str
    told: str = ""
    note: str = ""


def _variant(do: str, told: str = "", note: str = "") -> Variant:
    return Variant(frozenset(re.findall(r"{(\w+)}", do)), do, told, note)


PHRASES: Final[dict[str, tuple[Variant, ...]]] = {
    "send_notification": (
        _variant(
            "notify~{to}~ {message}|tell~{to}~ {message}|tell~{to}~, {message}|inform~{to}~: {message}|"
            "let~{to}~ know {message}|warn~{to}~ {message}|alert~{to}~ - {message}|notify~{to}~ that {message}|"
            "send~{to}~ a notification {message}|message~{to}~ {message}|notify~{to}~ with {message}",
            "{to} gets told {message}|{to} should be told {message}|{to} must know it, {message}|"
            "{to} is told {message}|"
            "{to} gets a notification, {message}|{to} has to be informed, {message}|{to} should know: {message}|"
            "{to} gets {message}|{to} is informed {message}|{to} needs to know {message}|{message} goes to {to}",
            "{to} informed, {message}|notification to {to} {message}|message {message} to {to}|tell {to} {message}|"
            "{message} to {to}|{to}: {message}|info to {to}, {message}",
        ),
        _variant("notify~{to}~ {message} about {record}|tell~{to}~ {message}, with {record}"),
    ),
    "send_email": (
        _variant(
            "email~{to}~, subject {subject}|mail~{to}~ {subject}|send~{to}~ an e-mail with subject {subject}|"
            "write~{to}~ an email, subject {subject}|send~an e-mail~ to {to}, {subject}",
            "{to} gets an e-mail, subject {subject}|{to} should get a mail {subject}|a mail {subject} goes to {to}",
            "mail to {to}, subject {subject}|e-mail {subject} to {to}",
        ),
        _variant(
            "email~{to}~, subject {subject}, text {body}|mail~{to}~, subject {subject}, body {body}|"
            "send~{to}~ an e-mail {subject} with the text {body}",
            "{to} gets an e-mail {subject}, body is {body}",
            "mail to {to}, {subject}, {body}",
        ),
        _variant("email~{to}~ {body}|mail~{to}~ {body}|write~{to}~ an e-mail: {body}|send~{to}~ a mail saying {body}",
                 "{to} gets a mail {body}|{to} gets mailed {body}", "mail to {to}: {body}"),
    ),
    "send_sms": (
        _variant(
            "text~{to}~ {message}|send~{to}~ an SMS {message}|text~{to}~: {message}|sms~{to}~ {message}|"
            "send~{to}~ a text message {message}",
            "{to} gets a text {message}|{to} should get an SMS, {message}|{to} is texted {message}",
            "SMS to {to} {message}|text to {to}, {message}",
        ),
    ),
    "post_chat_message": (
        _variant(
            "post~{message}~ in channel {channel}|post~{message}~ in {channel}|"
            "write~{message}~ to the channel {channel}|"
            "post~in {channel}~ {message}|tell~the channel {channel}~ {message}",
            "the channel {channel} gets {message}|{message} should be in the chat channel {channel}",
            "chat {channel}: {message}|post in {channel} {message}",
        ),
    ),
    "add_comment": (
        _variant("comment~~{of} {text}|add~a comment~{of} {text}|leave~the comment~ {text}{of}|comment~~ {text}",
                 "the comment {text} is added{of}", "comment {text}"),
    ),
    "add_work_note": (
        _variant("note~~ {text}{of}|add~a work note~{of} {text}|add~the note~ {text}{of}|"
                 "leave~an internal note~ {text}{of}",
                 "a work note {text} is added{of}", "note {text}|work note: {text}"),
    ),
    "ask_for_approval": (
        _variant(
            "ask~{approver}~ to approve{of}|ask~{approver}~ for approval{of}|get~approval~ from {approver}{of}|"
            "get~the ok of {approver}~{of}|let~{approver}~ approve{of}|request~approval~ from {approver}{of}|"
            "ask~{approver}~",
            "{approver} must approve{of}|{approver} has to approve{of}|{approver} approves first|{approver} decides|"
            "it needs the approval of {approver}|{approver} has to agree|{approver} must sign off|"
            "it needs the ok from {approver}",
            "approval by {approver}|approval of {approver}|ok from {approver}",
        ),
        _variant("ask~{approver}~ to approve{of} within {due}|get~approval~ from {approver}{of} in {due}",
                 "{approver} must approve in {due}|"
                 "{approver} has {due} to approve", "approval by {approver} ({due})"),
        _variant("ask~{approver}~ for approval{of}, {rule} counts|get~approval~ from {approver} ({rule}){of}",
                 "{approver} must approve with {rule}|{approver} approves, {rule}"),
    ),
    "wait_for_file": (
        _variant("wait~~ for a file{of}|wait~~ until a file is attached{of}|wait~~ for the document{of}"),
        _variant("wait~~ for a file{of}, at most {timeout}|wait~~ up to {timeout} for a file{of}"),
    ),
    "wait_for_email_reply": (
        _variant("wait~~ for the answer|wait~~ for a reply|wait~~ until somebody answers"),
        _variant("wait~~ for the answer, {timeout} at most|wait~~ up to {timeout} for a reply"),
    ),
    "look_up_attachments": (_variant("get~the attachments~{of}|find~the files~{of}|look at~the attachments~{of}"),),
    "copy_attachment": (_variant("copy~the files~ to {record}|copy~the attachment~ to {record}"),),
    "move_attachment": (_variant("move~the files~ to {record}|move~the attachment~ to {record}"),),
    "delete_attachment": (_variant("delete~the attachment~|remove~the files~"),),
    "add_user_to_group": (
        _variant("add~{user}~ to {group}|put~{user}~ into {group}|make~{user}~ a member of {group}",
                 "{user} joins {group}|{user} becomes a member of {group}|{user} goes into the group {group}",
                 "{user} into {group}"),
    ),
    "remove_user_from_group": (
        _variant("remove~{user}~ from {group}|take~{user}~ out of {group}|kick~{user}~ out of {group}",
                 "{user} leaves {group}|{user} is no longer in {group}", "{user} out of {group}"),
    ),
    "assign_role": (
        _variant("give~{user}~ the role {role}|assign~the role {role}~ to {user}|make~{user}~ {role}",
                 "{user} gets the role {role}|{user} needs the role {role}", "role {role} for {user}"),
    ),
    "submit_catalogue_request": (
        _variant("order~{item}~ for {requested_for}|request~{item}~ for {requested_for}|"
                 "order~the item {item}~ for {requested_for}",
                 "{requested_for} gets {item} from the catalogue|"
                 "{requested_for} needs {item}", "{item} for {requested_for}"),
        _variant("order~{item}~|order~{item}~ from the catalogue|request~the catalogue item {item}~"),
    ),
    "get_sla_percentage": (
        _variant("check~how much of the SLA~ is used{of}|get~the SLA percentage~{of}|look at~the SLA~{of}"),
        _variant("check~how much of the SLA {sla}~ is used{of}|get~the percentage~ of {sla}{of}"),
    ),
    "pause_sla": (
        _variant("pause~the SLA~{of}|stop~the clock~{of}|stop~the SLA clock~{of}", "the clock stops|"
                                                            "the SLA is on hold"),
        _variant("pause~the SLA~{of}, reason {reason}|stop~the clock~ ({reason}){of}"),
    ),
    "resume_sla": (_variant("resume~the SLA~{of}|start~the clock~ again{of}", "the clock runs again|"
                                                            "the SLA goes on"),),
    "call_rest_endpoint": (
        _variant("call~{url}~ with {method}|send~a {method}~ to {url}|do~a {method}~ on {url}|{method}~{url}~",
                 "a {method} goes to {url}", "{method} {url}"),
        _variant("send~{body}~ to {url} ({method})|{method}~{body}~ to {url}|call~{url}~ with {method} and {body}"),
    ),
    "calculate": (_variant("calculate~{expression}~|compute~{expression}~|work out~{expression}~"),),
    "generate_document": (
        _variant("make~a PDF~ from template {template}{of}|generate~the document {template}~{of}|"
                 "create~{template}~ as PDF{of}|"
                 "fill~the template {template}~{of}", "the document {template} is made{of}", "document {template}"),
    ),
    "log_message": (
        _variant("log~{message}~|write~{message}~ to the log|log~the message~ {message}", "", "log {message}"),
        _variant("log~{message}~ as {level}|log~the {level}~ {message}"),
    ),
    "delete_record": (
        _variant("delete~{record}~|remove~{record}~|get rid of~{record}~", "{record} can be deleted|"
                                                            "{record} gets deleted|"
                 "{record} is not needed any more, delete it"),
    ),
    "copy_record": (_variant("copy~{record}~|duplicate~{record}~|make~a copy~ of {record}"),),
    "cancel_approvals": (
        _variant("cancel~the open approvals~{of}|withdraw~all approvals~{of}|cancel~approvals~{of}",
                 "approvals that are still open are cancelled"),
    ),
    "create_approval_rule": (
        _variant("add~an approval rule~{of}: {rule} of {approvers}|let~{rule}~ of {approvers} approve{of}"),
    ),
    "notify_manager_chain": (
        _variant("tell~{user}'s managers~ {message}|inform~the manager chain of {user}~ {message}|"
                 "notify~the managers of {user}~, both levels, {message}",
                 "the manager of {user} and the manager above are told {message}", "managers of {user}: {message}"),
    ),
    "close_with_children": (
        _variant("close~{record}~ with all its children|close~{record}~ and everything under it",
                 "{record} is closed with its children"),
        _variant("close~{record}~ with its children, {reason}|close~{record}~ and its children ({reason})"),
    ),
    "escalate_to_group_lead": (
        _variant("escalate~{record}~|escalate~{record}~ to the group lead|hand~{record}~ to the lead of the group|"
                 "escalate~~|give~{record}~ to the team lead|pass~{record}~ to the lead",
                 "the group lead takes over|the team lead gets {record}|{record} goes to the lead of its group|"
                 "the lead of the group has to take {record}", "escalation to the group lead|to the team lead"),
    ),
}  # fmt: skip
