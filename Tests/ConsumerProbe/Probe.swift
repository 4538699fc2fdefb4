internal import Credentials
