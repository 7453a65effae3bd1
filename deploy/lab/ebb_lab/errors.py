"""What can go wrong with a lab.

LabError            anything; the message says what to do next
├── MissingTool     a program the lab needs is not installed
├── BuildFailed     the image, the dependencies or the source disk could not be made
├── LabTimeout      a command or the boot took too long; the machine has been ended
├── LabLost         the machine or the connection to it went away by itself
└── CommandFailed   a command ended with another exit code than 0 and `check` was asked for
"""


class LabError(RuntimeError):
    pass


class MissingTool(LabError):
    pass


class BuildFailed(LabError):
    pass


class LabTimeout(LabError):
    pass


class LabLost(LabError):
    pass


class CommandFailed(LabError):
    pass
